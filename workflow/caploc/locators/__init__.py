"""One file per way to locate units of a model; a new file is found by its name.

Each file says in literals what it scores: ``TITLE`` (how pages call it), ``UNIT`` ("ffn neuron",
"layer" or "edge") and, where it may stand against others, ``RANKED`` (which neurons come first:
"value", those of the largest scores, or "distance", those farthest from the mean of all, as masks
do). What it offers are functions; any of them may be missing:

``locate(lm, samples, *, seed, ...)``
    One result a sample, in order: an object whose ``scores`` is an array over the units, or the
    `Dropped` that says why there is none.
``score(lm, given, *, seed, ...)``
    (part, layer, neuron) for a whole task, where that is not the stack of `locate`: it needs other
    tasks or neutral text (`caploc.locating.Given`), or is no mean over samples (then one part).
``located(result, *, ...)``
    Located sets of a result by name, the first being the headline: boolean, shaped as the scores.
``per_layer(result)``
    Number of units of each layer, in the order of the flattened scores.
``refined(sets, *, ...)``
    What several prompts of a fact agree on.
``settings_of_run(lm, samples)``
    Settings of `locate` that depend on all facts of a run, whatever the shard.
``rank(lm, units, sample, scores)``
    Ids of `caploc.measures.budgets.Units`, best first; without it, of neurons, those with a score
    above 0.
``token_map(result)``
    Columns of the table `tracing`.

``RANK`` says in words how `rank` does it. `locate` with "ffn neuron" makes a method (``methods``);
`located` and `per_layer` a locator of single facts (``experiments.fidelity``); `locate` or `score`
a locator under test on planted models (``experiments.known_answer``) and beside erasure.

Settings are the keyword-only parameters of these functions: type (from `caploc.settings`), default
and line under ``Args:`` are what the configuration is checked against, by reading the text alone.
``seed`` and ``memory_mib`` come from the run. ``**settings`` of `score` are those of `locate`. A
sample of a fact names its subject in ``meta["subject"]`` and the same prompt about another subject
in ``meta["counterfactual"]``. ``docs/locators.md`` explains the methods.
"""

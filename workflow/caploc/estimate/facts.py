"""Stages about single facts and paired samples. Every fact is taken for known: an upper bound."""

from dataclasses import replace
from math import ceil

from caploc.estimate.lengths import TYPICAL
from caploc.estimate.passes import (
    activations,
    attributing,
    attribution_memory,
    generating,
    memory,
    numbers,
    piece,
    reading,
)
from caploc.estimate.run import Run
from caploc.estimate.tasks import SCORE_BYTES
from caploc.estimate.work import Stage, Work
from caploc.experiments.decoupling import jobs as pairs_planned
from caploc.experiments.fidelity import jobs as planned
from caploc.experiments.reliability import jobs as reliability_planned

__all__ = ["stages"]

_PROMPTS = 3
"""Prompts of a fact that are located: the original, a rewrite of two kinds."""
_TRACED = 0.2
"""Share of the procedure's operations that tracing takes (`tracing.json`: 0.16 to 0.28)."""
_BATCH_TOKENS = 2048


def stages(run: Run) -> list[Stage]:
    """Of fidelity, reliability and decoupling, as far as the run has them."""
    found = list[Stage]()
    sets = _sets(run)
    if sets:
        found.append(numbers("prepare_facts", len(sets)))
        found.append(_recall(run, sets))
        found += _locate(run, sets)
    if run.has("fidelity"):
        found += _measured(run)
    if run.has("reliability"):
        found += _reliability(run)
    if run.has("decoupling"):
        found += _decoupling(run)
    return found


def _sets(run: Run) -> list[str]:
    names = [
        name
        for experiment in ("fidelity", "reliability")
        if run.has(experiment)
        for name in run.settings(experiment)["facts"]
    ]
    return list(dict.fromkeys(names))


def _facts(run: Run, sets: list[str]) -> int:
    return sum(run.config["facts"][name]["n"] for name in sets)


def _recall(run: Run, sets: list[str]) -> Stage:
    n, tokens = _facts(run, sets), run.fact.total
    work = [reading(run, 4 * n * tokens, 4 * n * run.fact.answer, 64 * tokens)]
    if run.settings("fidelity")["own_rewrites"]:
        longer = replace(run.fact, prompt=60, answer=run.fact.prompt)
        work += generating(run, longer, n, 64)
    return Stage("recall_facts", len(sets), tuple(work), **memory(run, 0.0), disk=n * 600)


def _locate(run: Run, sets: list[str]) -> list[Stage]:
    """One stage for all locators, as the rule is one."""
    settings, n = run.settings("fidelity"), _facts(run, sets)
    wanted = list(settings["locators"]) if run.has("fidelity") else []
    if run.has("reliability"):
        wanted += [name for name in ("kn", "rome", "circuit") if name not in wanted]
    jobs = sum(
        len(planned.located_shards(run.plan, run.model, name, locator))
        for name in sets
        for locator in wanted
    )
    shape, fact, prompts = run.shape, run.fact, _PROMPTS * n
    work, disk, working = list[Work](), 0.0, 0.0
    if "kn" in wanted:
        work.append(attributing(run, fact, prompts, settings["kn"]))
        working = attribution_memory(run, [fact], settings["kn"])
        disk += prompts * shape.neurons * SCORE_BYTES
    if "kn_activation" in wanted:
        work.append(reading(run, prompts * fact.total, 0, 64 * fact.total))
        disk += prompts * shape.neurons * SCORE_BYTES
    if "rome" in wanted:
        # Three kinds, every token and layer, every noise sample: one pass of the prompt each.
        cells = 3 * fact.prompt * shape.layers * settings["rome"]["noise_samples"]
        work.append(reading(run, _TRACED * prompts * cells * fact.total, prompts * cells, 16384))
        working = max(working, 16384 * activations(run))
    if "circuit" in wanted:
        steps = settings["circuit"]["steps"]
        operations = 2 * shape.forward(prompts * (steps + 2) * fact.total, prompts * steps)
        calls = 3 * prompts * ceil(steps * fact.total / 16384)
        work.append(piece(run, "passes", operations, calls))
        edges = shape.layers**2 * (shape.heads + 1) * (shape.heads + 2 * shape.kv_heads + 1) / 2
        disk += prompts * edges * SCORE_BYTES
        rows = min(steps * fact.total, 16384)
        working = max(working, rows * activations(run) * shape.layers)
    return [Stage("locate_facts", jobs, tuple(work), **memory(run, working), disk=disk)]


def _measured(run: Run) -> list[Stage]:
    settings = run.settings("fidelity")
    n = sum(run.config["facts"][name]["n"] for name in settings["facts"])
    grids = n * _PROMPTS * (settings["n_draws"] + settings["partners"]) * run.shape.neurons
    jobs = len(settings["locators"]) * len(settings["facts"])
    return [
        numbers("tabulate_tracing", 1),
        numbers("measure_fidelity", jobs, grids, host=n * _PROMPTS * run.shape.neurons),
        numbers("measure_kn_on_tasks", 1, grids * settings["task_samples"] / n / _PROMPTS),
    ]


def _reliability(run: Run) -> list[Stage]:
    settings, sets = run.settings("reliability"), run.settings("reliability")["facts"]
    n, shape, fact = _facts(run, sets), run.shape, run.fact
    draws = settings["draws"] + 1
    kn = reading(run, n * 2 * (1 + 2 * draws) * fact.total, n * 2 * draws, 64 * fact.total)
    shares = [s for s in settings["circuit"]["shares"]
              if s in run.settings("fidelity")["circuit"]["shares"]]  # fmt: skip
    # Beside the products, every reader sums what the sources wrote: about as much again.
    alone = n * len(shares) * (1 + draws)
    circuit = piece(run, "passes", 2 * shape.forward(alone * fact.total, alone), 2 * alone)
    return [
        _moments(run),
        Stage("validate_kn", len(sets), (kn,), **memory(run, 0.0)),
        Stage("validate_circuit", len(sets), (circuit,), **memory(run, 0.0)),
        _edits(run, sets, n),
        numbers("measure_reliability", len(sets)),
        _ablations(run, sets, n),
        numbers("measure_ablation", len(sets)),
    ]


def _ablations(run: Run, sets: list[str], n: int) -> Stage:
    """The shared metric: sets of every budget on every fact and on neutral text."""
    shared = run.settings("reliability")["shared"]
    neutral = run.plan.settings["neutral"]
    told = shared["texts"] * run.length(neutral).total if neutral else 0
    budgets, fact = len(shared["budgets"]), run.fact
    # Located: one set of each of four locators, per fact. Random: as many sets for each of their
    # three kinds of units, on all facts at once.
    tokens = 4 * budgets * n * (fact.total + told)
    tokens += 3 * budgets * shared["draws"] * (n * fact.total + told)
    jobs = sum(
        ceil(run.config["facts"][name]["n"] / run.settings("fidelity")["shard_size"])
        for name in sets
    )
    work = reading(run, tokens, tokens / fact.total, _BATCH_TOKENS)
    return Stage("ablate_units", jobs, (work,), **memory(run, 0.0), disk=n * 12 * budgets * 100)


def _moments(run: Run) -> Stage:
    """Second moments of keys, layer by layer, over neutral text."""
    rome, shape = run.settings("reliability")["rome"], run.shape
    tasks = [run.plan.settings["neutral"]] if run.plan.settings["neutral"] else run.tasks
    texts = [
        (run.samples(task, split), run.length(task).total)
        for task in tasks for split in ("locate", "train")
    ]  # fmt: skip
    n = sum(count for count, _ in texts)
    share = min(1.0, rome["texts"] / n)
    tokens = share * sum(count * length for count, length in texts)
    at_once = min(max(1, rome["memory_mb"] * 1_000_000 // (8 * shape.ffn**2)), shape.layers)
    rounds = ceil(shape.layers / at_once)
    read = reading(run, rounds * tokens, 0, tokens / n)
    products = piece(run, "passes", 2 * tokens * shape.layers * shape.ffn**2)
    needed = memory(run, 0.0)
    needed["host"] += at_once * 8 * shape.ffn**2
    assert len(reliability_planned.texts(run.plan)) == 2 * len(tasks)
    return Stage("sum_keys", 1, (read, products), **needed, disk=4 * shape.layers * shape.ffn**2)


def _edits(run: Run, sets: list[str], n: int) -> Stage:
    rome, shape, fact = run.settings("reliability")["rome"], run.shape, run.fact
    prefixes = [length for number, length in rome["prefixes"] for _ in range(number)]
    texts = fact.total * (1 + len(prefixes)) + sum(prefixes)
    edits = n * shape.layers
    # Values: forward and back through the blocks above the edited one, half of them on average.
    searched = shape.forward(edits * rome["steps"] * texts, edits * rome["steps"] * 2)
    calls = 1.5 * rome["steps"] * edits / rome["batch_facts"]
    search = piece(run, "training", searched, calls)
    asked = 2 * (1 + rome["paraphrases"] + rome["neighbours"])
    ask = reading(run, edits * asked * fact.total, edits * asked * fact.answer, asked * fact.total)
    work = [search, ask]
    if rome["fluency_tokens"]:
        told = edits * rome["fluency_tokens"]
        work.append(piece(run, "generation", shape.forward(3 * told, 3 * told), told))
    factor = piece(run, "passes", shape.layers * shape.ffn**3 / 3)
    rows = rome["batch_facts"] * texts
    working = rows * activations(run) * shape.layers + 8 * shape.ffn**2
    needed = memory(run, working)
    needed["host"] += 8 * shape.ffn**2
    return Stage("edit_facts", len(sets), (*work, factor), **needed, disk=edits * 60)


def _decoupling(run: Run) -> list[Stage]:
    settings, shape = run.settings("decoupling"), run.shape
    work, jobs, disk, longest = list[Work](), 0, 0.0, list()
    for family in settings["families"]:
        lengths = TYPICAL.get(family, run.fact)
        prompts = 4 * settings["pairs"]
        work.append(attributing(run, lengths, prompts, settings["kn"]))
        jobs += len(pairs_planned.pair_shards(run.plan, run.model, family))
        disk += prompts / 2 * shape.neurons * SCORE_BYTES
        longest.append(lengths)
    working = attribution_memory(run, longest, settings["kn"])
    grids = settings["pairs"] * len(settings["shares"]) * (settings["draws"] + settings["orders"])
    n = len(settings["families"])
    return [
        numbers("prepare_pairs", n),
        Stage("locate_pairs", jobs, tuple(work), **memory(run, working), disk=disk),
        numbers("measure_decoupling", n, n * grids * shape.neurons / 5),
    ]

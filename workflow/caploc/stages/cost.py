"""Passes of the path from data to masks, and of the facts that experiments share."""

from dataclasses import replace
from math import ceil

from caploc.estimate.passes import (
    SCORE_BYTES,
    activations,
    attributing,
    attribution_memory,
    cache_memory,
    generating,
    memory,
    numbers,
    piece,
    reading,
)  # fmt: skip
from caploc.estimate.run import Run
from caploc.estimate.work import Stage, Work

__all__ = ["cost"]

_SPEAKING_BATCH = 64
_PROMPTS = 3
"""Prompts of a fact that are located: the original, a rewrite of two kinds."""
_TRACED = 0.2
"""Share of the procedure's operations that tracing takes (`tracing.json`: 0.16 to 0.28)."""


def cost(run: Run) -> list[Stage]:
    """Stages of every run with one of its models; every fact is taken for known."""
    found = [_model(run), *_samples(run), _base(run), *_attribution(run), *_masks(run)]
    if sets := _sets(run):
        found += [numbers("prepare_facts", len(sets)), _recall(run, sets), *_locate(run, sets)]
    return found


def _model(run: Run) -> Stage:
    entry = run.config["models"][run.model]
    if "train" in entry:
        # Generated texts: as long as those of the tasks.
        mean = sum(x.total for x in run.lengths.values()) / len(run.lengths)
        train = entry["train"]
        tokens = train["steps"] * train["batch"] * mean
        operations = 3 * run.shape.forward(tokens, tokens / 3)
        work = replace(piece(run, "training", operations, 3 * train["steps"]), threads=2)
        state = 16 * run.shape.parameters + tokens / train["steps"] * run.shape.layers * 2 * (
            activations(run)
        )
        # 4 bytes a weight, and the list of the prompts of the training text.
        prompts = 0.25 * train["steps"] * train["batch"]
        return Stage("train_model", 1, (work,), **memory(run, state),
                     disk=4 * run.shape.parameters + prompts)  # fmt: skip
    # The hub keeps most models in 16 bits; a folder is used where it is.
    stored = 2 * run.shape.parameters if "repo" in entry else 0.0
    needed = memory(run, 0.0)
    needed["accelerator"] = 0.0
    return Stage("fetch_model", 1, **needed, disk=stored)


def _samples(run: Run) -> list[Stage]:
    tasks = run.plan.tasks
    characters = 4.0
    stored = sum(
        0.5 * characters * run.length(task).total * sum(
            run.config["tasks"][task]["samples"].values()
        ) for task in tasks
    )  # fmt: skip
    found = [numbers("prepare_samples", len(tasks), disk=stored)]
    if run.plan.settings["shuffled"]:
        found.append(numbers("shuffle_answers", len(run.tasks)))
    return [*found, numbers("check_splits", 1)]


def _base(run: Run) -> Stage:
    work = [
        piece
        for task in run.tasks
        for piece in generating(
            run, run.length(task), run.samples(task, "test"), _SPEAKING_BATCH
        )
    ]  # fmt: skip
    working = cache_memory(run, [run.length(t) for t in run.tasks], _SPEAKING_BATCH)
    return Stage("evaluate_base", len(run.tasks), tuple(work), **memory(run, working))


def _attribution(run: Run) -> list[Stage]:
    plan, neurons = run.plan, run.shape.neurons
    methods = [run.config["methods"][method] for method in plan.settings["methods"]]
    lengths = [run.length(task) for task in plan.scored]
    jobs = sum(plan.n_shards(task) for task in plan.scored) * len(methods)
    work = tuple(
        attributing(run, run.length(task), run.samples(task, "locate"), method)
        for method in methods
        for task in plan.scored
    )
    working = max(attribution_memory(run, lengths, method) for method in methods)
    samples = sum(run.samples(task, "locate") for task in plan.scored) * len(methods)
    stored = samples * neurons * SCORE_BYTES
    largest = min(plan.settings["shard_size"], max(run.samples(t, "locate") for t in plan.scored))
    stage = Stage("attribute_shard", jobs, work, **memory(run, working), disk=stored,
                  scratch=largest * neurons * SCORE_BYTES)  # fmt: skip
    found = [stage]
    if most := plan.settings["converged_samples"]:
        rule = {"rule": "adaptive", "steps": 256}
        again = tuple(
            attributing(run, run.length(task), run.samples(task, "locate", most), method | rule)
            for method in methods
            for task in plan.tasks
        )
        found.append(Stage("score_converged", len(methods), again, **memory(run, working),
                           disk=2 * len(again) * neurons * SCORE_BYTES))  # fmt: skip
    # Means of every half of every split, at sizes 1, 2, 5, 10, ... below that of a half.
    per_half = run.samples(run.tasks[0], "locate") / 2
    sizes = sum(a * 10**k < per_half for k in range(6) for a in (1, 2, 5))
    grids = (1 + 2 * plan.settings["splits"] * (1 + sizes)) * neurons * SCORE_BYTES
    n = len(plan.scored) * len(methods)
    found.append(numbers("aggregate_scores", n, n * grids))
    if plan.settings["mixture"]:
        found.append(numbers("aggregate_mixture", len(methods), grids))
    return found


def _masks(run: Run) -> list[Stage]:
    settings = run.plan.settings
    n = len(settings["methods"]) * len(settings["masks"])
    arms = len(run.plan.tasks) + bool(settings["mixture"])
    return [
        numbers("build_mask", n * len(run.tasks)),
        numbers("measure_agreement", n * arms, n * arms * 12e3),
        numbers("measure_overlap", n, n * 12e3),
    ]


def _sets(run: Run) -> list[str]:
    names = [
        name
        for experiment in ("fidelity", "reliability")
        if run.has(experiment)
        for name in run.settings(experiment)["facts"]
    ]
    return list(dict.fromkeys(names))


def _recall(run: Run, sets: list[str]) -> Stage:
    n, tokens = run.n_facts(sets), run.fact.total
    work = [reading(run, 4 * n * tokens, 4 * n * run.fact.answer, 64 * tokens)]
    if run.settings("fidelity")["own_rewrites"]:
        longer = replace(run.fact, prompt=60, answer=run.fact.prompt)
        work += generating(run, longer, n, 64)
    return Stage("recall_facts", len(sets), tuple(work), **memory(run, 0.0), disk=n * 600)


def _locate(run: Run, sets: list[str]) -> list[Stage]:
    """One stage for all locators, as the rule is one."""
    settings, n = run.settings("fidelity"), run.n_facts(sets)
    wanted = list(settings["locators"]) if run.has("fidelity") else []
    if run.has("reliability"):
        wanted += [name for name in ("kn", "rome", "circuit") if name not in wanted]
    jobs = sum(ceil(run.n_facts([name]) / settings["shard_size"]) for name in sets for _ in wanted)
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

"""Stages about tasks: models, samples, neuron scores, masks, erasure."""

from dataclasses import replace

from caploc.estimate.passes import (
    activations,
    attributing,
    attribution_memory,
    cache_memory,
    generating,
    memory,
    numbers,
    piece,
    reading,
)
from caploc.estimate.run import Run
from caploc.estimate.work import Stage

__all__ = ["SCORE_BYTES", "stages"]

SCORE_BYTES = 0.87 * 4
"""Bytes of a stored score: float32, byte streams split, zstd (`aggregation.json`: 0.85 to 0.9)."""
_CURVE = (1, 2, 5)
_SPEAKING_BATCH = 64


def stages(run: Run) -> list[Stage]:
    """Those of every run, with one of its models, and of erasure."""
    found = [_model(run), *_samples(run), _base(run), *_attribution(run), *_masks(run)]
    if run.has("erasure") or run.has("cross_erasure"):
        found.append(_weigh(run))
    if run.has("erasure"):
        found.append(_erase(run))
    if run.has("cross_erasure"):
        found.append(_cross_erase(run))
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
    found = [
        Stage(
            "attribute_shard",
            jobs,
            work,
            **memory(run, working),
            disk=stored,
            scratch=largest * neurons * SCORE_BYTES,
        )
    ]
    if plan.settings["converged_samples"]:
        again = [
            attributing(
                run, run.length(task),
                run.samples(task, "locate", plan.settings["converged_samples"]),
                method | {"rule": "adaptive", "steps": 256},
            )
            for method in methods for task in plan.tasks
        ]  # fmt: skip
        found.append(
            Stage(
                "score_converged",
                len(methods),
                tuple(again),
                **memory(run, working),
                disk=2 * len(plan.tasks) * neurons * SCORE_BYTES * len(methods),
            )
        )
    per_half = run.samples(run.tasks[0], "locate") / 2
    kept = 1 + 2 * plan.settings["splits"] * (1 + _on_curve(per_half))
    averaged = samples * neurons
    grids = kept * neurons * SCORE_BYTES
    halves = 2 * plan.settings["splits"] * neurons * 8 * 2
    found.append(
        numbers(
            "aggregate_scores",
            len(plan.scored) * len(methods),
            averaged,
            disk=len(plan.scored) * len(methods) * grids,
            host=halves,
        )
    )
    if plan.settings["mixture"]:
        found.append(
            numbers("aggregate_mixture", len(methods), averaged / 2, disk=grids, host=halves)
        )
    return found


def _on_curve(per_half: float) -> int:
    """Sizes 1, 2, 5, 10, ... below that of a half."""
    return sum(a * 10**k < per_half for k in range(6) for a in _CURVE)


def _masks(run: Run) -> list[Stage]:
    plan = run.plan
    combinations = len(plan.settings["methods"]) * len(plan.settings["masks"])
    n_arms = len(plan.tasks) + bool(plan.settings["mixture"])
    grids = 2 * plan.settings["splits"] * 12 * run.shape.neurons
    return [
        numbers("build_mask", combinations * len(run.tasks), run.shape.neurons * combinations),
        numbers("measure_agreement", combinations * n_arms, combinations * n_arms * grids,
                disk=combinations * n_arms * 12e3),
        numbers("measure_overlap", combinations, combinations * grids, disk=combinations * 12e3),
    ]  # fmt: skip


def _weigh(run: Run) -> Stage:
    """Three baselines: one reads forward, two read forward and back."""
    settings = run.settings("erasure")
    n = settings["weighing_samples"]
    work = [
        reading(run, 7 * run.samples(task, "locate", n) * run.length(task).total,
                run.samples(task, "locate", n) * run.length(task).answer * 5, 2048)
        for task in run.tasks
    ]  # fmt: skip
    stored = (3 * len(run.tasks) + 1) * run.shape.neurons * 8
    tokens = max(run.samples(task, "locate", n) * run.length(task).total for task in run.tasks)
    working = min(tokens, 2048) * activations(run) * run.shape.layers
    return Stage("weigh_neurons", 1, tuple(work), **memory(run, working), disk=stored)


def erasure_sets(run: Run) -> tuple[int, int]:
    """Sets of neurons that one job of `erase_neurons` silences, and those that answer."""
    settings, masks = run.settings("erasure"), len(run.plan.settings["masks"])
    few = settings["exploratory_draws"]
    modes = [
        m for m in settings["modes"] if m != "all" and (m != "mean" or run.plan.settings["neutral"])
    ]
    found = 1 + masks * (1 + 2 * few) + settings["draws"] + (masks - 1) * few
    found += (len(modes) + 2) * (1 + few) + len(settings["locators"])
    sized = "activation-size" in settings["locators"]
    found += len(settings["dose"]) * (1 + settings["dose_draws"] + sized)
    told = 1 + masks * (1 + min(settings["answered_draws"], few))
    return found, told


def _erase(run: Run) -> Stage:
    settings = run.settings("erasure")
    sets, told = erasure_sets(run)
    work, rows = [], 0
    for task in run.tasks:
        lengths, n = run.length(task), run.samples(task, "test", settings["samples"])
        for shots in settings["shots"]:
            tokens = (shots + 1) * lengths.total
            work.append(reading(run, sets * n * tokens, sets * n * lengths.answer,
                                settings["batch_tokens"]))  # fmt: skip
            rows += sets * n
            asked = run.samples(task, "test", settings["answered"]) * told
            longer = type(lengths)(lengths.prompt + shots * lengths.total, lengths.answer)
            work += generating(run, longer, asked, settings["answered_rows"])
        if run.plan.settings["neutral"] is not None:
            read = told * settings["samples"] * run.length(run.plan.settings["neutral"]).total
            work.append(reading(run, read, read, settings["batch_tokens"]))
    every = [run.length(task) for task in run.tasks]
    together = min(settings["answered_rows"], told * settings["answered"])
    working = max(
        cache_memory(run, every, together),
        settings["batch_tokens"] * activations(run),
    )
    grids = sets * run.shape.neurons  # one byte a neuron and set
    needed = memory(run, working)
    needed["host"] += grids
    if run.cuda:
        needed["accelerator"] += grids
    return Stage("erase_neurons", len(run.tasks), tuple(work), **needed, disk=rows * 3.0)


def _cross_erase(run: Run) -> Stage:
    settings = run.settings("cross_erasure")
    # Own and equally many; without the neurons that all have in common only where there are any.
    sets = 1 + 2 * len(run.tasks) * (1 + settings["draws"])
    work, rows = [], 0
    for task in run.tasks:
        n = run.samples(task, "test", settings["samples"])
        lengths = run.length(task)
        work.append(reading(run, sets * n * lengths.total, sets * n * lengths.answer,
                            settings["batch_tokens"]))  # fmt: skip
        rows += sets * n
    needed = memory(run, settings["batch_tokens"] * activations(run))
    needed["host"] += sets * run.shape.neurons
    return Stage("cross_erase", len(run.tasks), tuple(work), **needed, disk=rows * 3.0)

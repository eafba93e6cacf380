"""Passes of reliability: validation, edits, moments of keys, ablation."""

from math import ceil

from caploc.estimate.passes import (
    activations,
    memory,
    numbers,
    piece,
    reading,
)  # fmt: skip
from caploc.estimate.run import Run
from caploc.estimate.work import Stage

__all__ = ["cost"]

_BATCH_TOKENS = 2048


def cost(run: Run) -> list[Stage]:
    """Stages of reliability, where the run has it."""
    return _reliability(run) if run.has("reliability") else []


def _reliability(run: Run) -> list[Stage]:
    settings, sets = run.settings("reliability"), run.settings("reliability")["facts"]
    n, shape, fact = run.n_facts(sets), run.shape, run.fact
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

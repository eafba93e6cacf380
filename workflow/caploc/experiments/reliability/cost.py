"""Passes of reliability: validation, edits, moments of keys, ablation."""

from math import ceil

from caploc.estimate.lengths import FACT
from caploc.estimate.passes import Run
from caploc.estimate.work import Stage, Work, numbers

__all__ = ["cost"]

_BATCH_TOKENS = 2048


def cost(run: Run) -> list[Stage]:
    """Stages of reliability, where the run has it."""
    if not run.has("reliability"):
        return []
    settings, sets = run.settings("reliability"), run.settings("reliability")["facts"]
    n, draws = run.n_facts(sets), settings["draws"] + 1
    kn = run.read(n * 2 * (1 + 2 * draws) * FACT.total, n * 2 * draws, 64 * FACT.total)
    shares = [s for s in settings["circuit"]["shares"]
              if s in run.settings("fidelity")["circuit"]["shares"]]  # fmt: skip
    # Beside the products, every reader sums what the sources wrote: about as much again.
    alone = n * len(shares) * (1 + draws)
    circuit = run.read(2 * alone * FACT.total, 2 * alone, FACT.total)
    return [
        _moments(run),
        run.stage("validate_kn", len(sets), kn),
        run.stage("validate_circuit", len(sets), circuit),
        _edits(run, len(sets), n),
        numbers("measure_reliability", len(sets)),
        _ablations(run, sets, n),
        numbers("measure_ablation", len(sets)),
    ]


def _ablations(run: Run, sets: list[str], n: int) -> Stage:
    """The shared metric: sets of every budget on every fact and on neutral text."""
    shared, neutral = run.settings("reliability")["shared"], run.plan.settings["neutral"]
    told, budgets = (run.length(neutral).total if neutral else 0.0), len(shared["budgets"])
    told *= shared["texts"]
    # Located: one set of each of four locators, per fact. Random: as many sets for each of their
    # three kinds of units, on all facts at once.
    tokens = 4 * n * (FACT.total + told) + 3 * shared["draws"] * (n * FACT.total + told)
    shard = run.settings("fidelity")["shard_size"]
    jobs = sum(ceil(run.n_facts([name]) / shard) for name in sets)
    work = run.read(budgets * tokens, budgets * tokens / FACT.total, _BATCH_TOKENS)
    return run.stage("ablate_units", jobs, work, disk=n * 12 * budgets * 100)


def _moments(run: Run) -> Stage:
    """Second moments of keys, layer by layer, over neutral text."""
    rome, shape = run.settings("reliability")["rome"], run.shape
    neutral = run.plan.settings["neutral"]
    tasks = [neutral] if neutral else run.tasks
    texts = min(
        rome["texts"], sum(run.samples(t, split) for t in tasks for split in ("locate", "train"))
    )
    length = sum(run.length(task).total for task in tasks) / len(tasks)
    moment = 8 * shape.ffn**2
    at_once = min(max(1, rome["memory_mb"] * 1_000_000 // moment), shape.layers)
    read = run.read(ceil(shape.layers / at_once) * texts * length, 0, length)
    products = Work(2 * texts * length * shape.layers * shape.ffn**2)
    return run.stage("sum_keys", 1, read + products, on_host=at_once * moment,
                     disk=shape.layers * moment / 2)  # fmt: skip


def _edits(run: Run, jobs: int, n: int) -> Stage:
    """Every edited layer of every fact: a value is searched, written, and questions are asked."""
    rome, shape = run.settings("reliability")["rome"], run.shape
    prefixes = [length for number, length in rome["prefixes"] for _ in range(number)]
    texts = FACT.total * (1 + len(prefixes)) + sum(prefixes)
    layers = min(rome["edited_layers"] or shape.layers, shape.layers)
    edits = n * layers
    # Values: forward and back through the blocks above the edited one, half of them on average.
    searched = edits * rome["steps"] * texts
    work = run.read(searched, 2 * searched / texts, rome["batch_facts"] * texts / 1.5)
    asked = 2 * (1 + rome["paraphrases"] + rome["neighbours"])
    work += run.read(edits * asked * FACT.total, edits * asked * FACT.answer, asked * FACT.total)
    told = 3 * edits * rome["fluency_tokens"]
    work += run.work(shape.forward(told, told), 5 * told / 3)
    work += Work(layers * shape.ffn**3 / 3)  # the second moments, factored
    moment = 8 * shape.ffn**2
    return run.stage("edit_facts", jobs, work, run.held(rome["batch_facts"] * texts) + moment,
                     on_host=moment, disk=edits * 60)  # fmt: skip

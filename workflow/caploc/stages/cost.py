"""Passes of the path from data to masks, and of the facts that experiments share."""

from math import ceil

from caploc.estimate.lengths import FACT, Lengths
from caploc.estimate.passes import SCORE_BYTES, Run
from caploc.estimate.work import Stage, Work, numbers

__all__ = ["cost"]

_SPEAKING_BATCH = 64
_PROMPTS = 3
"""Prompts of a fact that are located: the original, a rewrite of two kinds."""
_TRACED = 0.2
"""Share of the procedure's operations that tracing takes (`tracing.json`: 0.16 to 0.28)."""
_PASS_TOKENS = 16384
"""Tokens that tracing and circuits read at once."""


def cost(run: Run) -> list[Stage]:
    """Stages of every run with one of its models; every fact is taken for known."""
    found = [_model(run), *_samples(run), _base(run), *_attribution(run), *_masks(run)]
    names = [name for experiment in ("fidelity", "reliability") if run.has(experiment)
             for name in run.settings(experiment)["facts"]]  # fmt: skip
    if sets := list(dict.fromkeys(names)):
        found += [numbers("prepare_facts", len(sets)), _recall(run, sets), _locate(run, sets)]
    return found


def _model(run: Run) -> Stage:
    entry, parameters = run.config["models"][run.model], run.shape.parameters
    if "train" not in entry:
        # The hub keeps most models in 16 bits; a folder is used where it is.
        return run.stage("fetch_model", 1, Work(), disk=2 * parameters * ("repo" in entry))
    # Generated texts: as long as those of the tasks.
    mean = sum(x.total for x in run.lengths.values()) / len(run.lengths)
    steps, batch = entry["train"]["steps"], entry["train"]["batch"]
    tokens = steps * batch * mean
    work = run.work(3 * run.shape.forward(tokens, tokens / 3), 3 * steps)
    # 4 bytes a weight, and the list of the prompts of the training text.
    return run.stage("train_model", 1, work, 16 * parameters + 2 * run.held(batch * mean),
                     disk=4 * parameters + 0.25 * steps * batch)  # fmt: skip


def _samples(run: Run) -> list[Stage]:
    tasks = run.plan.tasks
    samples = {task: sum(run.config["tasks"][task]["samples"].values()) for task in tasks}
    stored = sum(2.0 * run.length(task).total * n for task, n in samples.items())
    found = [numbers("prepare_samples", len(tasks), stored), numbers("check_splits", 1)]
    shuffled = run.plan.settings["shuffled"]
    return [*found, numbers("shuffle_answers", len(run.tasks))] if shuffled else found


def _base(run: Run) -> Stage:
    lengths = [run.length(task) for task in run.tasks]
    asked = [run.generate(run.length(task), run.samples(task, "test"), _SPEAKING_BATCH)
             for task in run.tasks]  # fmt: skip
    working = run.cache(lengths, _SPEAKING_BATCH)
    return run.stage("evaluate_base", len(run.tasks), sum(asked, Work()), working)


def _attribution(run: Run) -> list[Stage]:
    plan, grid = run.plan, run.shape.neurons * SCORE_BYTES
    methods = [run.config["methods"][method] for method in plan.settings["methods"]]
    samples = {task: run.samples(task, "locate") for task in plan.scored}

    def scored(n: dict[str, int], **changed: object) -> Work:
        one = (run.attribute(run.length(t), n[t], m | changed) for m in methods for t in n)
        return sum(one, Work())

    working = max(run.scoring(map(run.length, samples), method) for method in methods)
    jobs = sum(plan.n_shards(task) for task in samples) * len(methods)
    stored = sum(samples.values()) * len(methods) * grid
    largest = min(plan.settings["shard_size"], max(samples.values()))
    found = [run.stage("attribute_shard", jobs, scored(samples), working, disk=stored,
                       scratch=largest * grid)]  # fmt: skip
    if most := plan.settings["converged_samples"]:
        few = {task: run.samples(task, "locate", most) for task in plan.tasks}
        again = scored(few, rule="adaptive", steps=256)
        found.append(run.stage("score_converged", len(methods), again, working,
                               disk=2 * len(few) * len(methods) * grid))  # fmt: skip
    # Means of every half of every split, at sizes 1, 2, 5, 10, ... below that of a half.
    sizes = sum(a * 10**k < samples[run.tasks[0]] / 2 for k in range(6) for a in (1, 2, 5))
    grids = (1 + 2 * plan.settings["splits"] * (1 + sizes)) * grid
    n = len(samples) * len(methods)
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


def _recall(run: Run, sets: list[str]) -> Stage:
    n, tokens = run.n_facts(sets), FACT.total
    work = run.read(4 * n * tokens, 4 * n * FACT.answer, 64 * tokens)
    if run.settings("fidelity")["own_rewrites"]:
        work += run.generate(Lengths(60, FACT.prompt), n, 64)
    return run.stage("recall_facts", len(sets), work, disk=n * 600)


def _locate(run: Run, sets: list[str]) -> Stage:
    """One stage for all locators, as the rule is one."""
    settings, shape = run.settings("fidelity"), run.shape
    wanted = set(settings["locators"]) if run.has("fidelity") else set()
    if run.has("reliability"):
        wanted |= {"kn", "rome", "circuit"}
    shards = sum(ceil(run.n_facts([name]) / settings["shard_size"]) for name in sets)
    prompts, steps = _PROMPTS * run.n_facts(sets), settings["circuit"]["steps"]
    read = prompts * FACT.total
    # Tracing: three kinds, each place and layer, every noise sample: one pass of the prompt each.
    places = 1 if settings["rome"]["positions"] == "last_subject" else FACT.prompt
    cells = 3 * places * shape.layers * settings["rome"]["noise_samples"]
    edges = shape.layers**2 * (shape.heads + 1) * (shape.heads + 2 * shape.kv_heads + 1) / 2
    rows = min(steps * FACT.total, _PASS_TOKENS)
    # Work, bytes beside the weights, numbers stored for each prompt.
    locators = {
        "kn": (run.attribute(FACT, prompts, settings["kn"]), run.scoring([FACT], settings["kn"]),
               shape.neurons),
        "kn_activation": (run.read(read, 0, 64 * FACT.total), 0.0, shape.neurons),
        "rome": (run.read(_TRACED * cells * read, prompts * cells, _PASS_TOKENS),
                 run.held(_PASS_TOKENS, 1), 0),
        "circuit": (run.read(2 * (steps + 2) * read, 2 * prompts * steps, rows), run.held(rows),
                    edges),
    }  # fmt: skip
    used = [locators[name] for name in sorted(wanted & set(locators))]
    return run.stage(
        "locate_facts", shards * len(wanted), sum((work for work, _, _ in used), Work()),
        max((beside for _, beside, _ in used), default=0.0),
        disk=prompts * SCORE_BYTES * sum(stored for _, _, stored in used),
    )  # fmt: skip

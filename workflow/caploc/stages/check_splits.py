"""Check that no prompt occurs in two splits of a task, nor in the text a model was trained on.

Inputs: ``samples`` (every split file, ``<task>/<split>.parquet``) and ``prompts`` (training prompts
of every trained model, ``<model>/training_prompts.parquet``). Output: ``report``, counts as JSON.
Splits of different tasks are counted too, but may share prompts: two tasks can ask the same.
"""

from itertools import combinations
from pathlib import Path

from caploc.files import store
from caploc.jobs.job import Job
from caploc.records import DataError
from caploc.samples.splits import prompt_digest

__all__ = ["run"]


def run(job: Job) -> None:
    """Count shared prompts, report all counts, refuse any that must be 0."""
    splits = {_name(path): _prompts(path) for path in job.inputs["samples"]}
    trained = {path.parent.name: _digests(path) for path in job.inputs.get("prompts", [])}
    rows = []
    for (first, prompts), (second, others) in combinations(splits.items(), 2):
        shared = prompts.keys() & others.keys()
        rows.append({"a": "/".join(first), "b": "/".join(second), "shared": len(shared)})
        if shared and first[0] == second[0]:
            _refuse(first[0], f"split {second[1]}", first[1], prompts[min(shared)], len(shared))
    for (task, split), prompts in splits.items():
        for model, digests in trained.items():
            shared = prompts.keys() & digests
            name = f"training text of {model}"
            rows.append({"a": f"{task}/{split}", "b": name, "shared": len(shared)})
            if shared:
                _refuse(task, name, split, prompts[min(shared)], len(shared))
    counts = {
        "prompts": {"/".join(name): len(prompts) for name, prompts in splits.items()},
        "training_prompts": {model: len(digests) for model, digests in trained.items()},
        "pairs": rows,
    }
    store.write_json(counts | {"origin": job.origin()}, job.outputs["report"])


def _name(path: Path) -> tuple[str, str]:
    return path.parent.name, path.stem


def _prompts(path: Path) -> dict[str, str]:
    table = store.read_table(path, ["prompt"])
    return {prompt_digest(prompt): prompt for prompt in table["prompt"].to_pylist()}


def _digests(path: Path) -> set[str]:
    return set(store.read_table(path, ["prompt_digest"])["prompt_digest"].to_pylist())


def _refuse(task: str, other: str, split: str, prompt: str, n: int) -> None:
    raise DataError(
        f"task {task!r}: {n} prompts of split {split} are also in {other}, the first is "
        f"{prompt[:120]!r}; expected none; correct `is_held_out` or the data of this task"
    )

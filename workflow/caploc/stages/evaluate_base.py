"""Let a model answer the test samples of a task, and score the answers.

Settings: ``model``, ``task``, ``plugin``, ``dtype``, ``device``; optional ``batch`` (prompts at
once) and ``max_samples``. Inputs: ``manifest``, ``samples``. Output: ``answers``: sample_id,
answer, completion, correct. Samples that do not fit the model's context are dropped and counted.
"""

import logging

import pyarrow as pa

from caploc import plugins
from caploc.files import store
from caploc.forward.generation import complete
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.models.tokens import encode
from caploc.records import Dropped

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
_BATCH = 64


def run(job: Job) -> None:
    """Generate, score, write."""
    use_processor(job.threads)
    spec = job.spec
    model = model_of(job.input("manifest"), spec)
    task = plugins.load("tasks", spec["plugin"]).TASK
    rows = store.read_table(job.input("samples"), ("sample_id", "prompt", "answer")).to_pylist()
    kept, dropped = [], []
    for row in rows[: spec.get("max_samples")]:
        try:
            encode(model.tokenizer, row["prompt"], row["answer"], context=model.context)
            kept.append(row)
        except Dropped as reason:
            dropped.append([row["sample_id"], str(reason)])
    completions = dict(
        tracked(
            complete(
                model,
                [row["prompt"] for row in kept],
                [row["answer"] for row in kept],
                spec.get("batch", _BATCH),
            ),
            total=len(kept),
            what=f"{spec['task']}: answers",
        )
    )
    correct = [task.score(row["answer"], completions[i]) for i, row in enumerate(kept)]
    table = pa.table(
        {
            "sample_id": pa.array([row["sample_id"] for row in kept], pa.string()),
            "answer": pa.array([row["answer"] for row in kept], pa.string()),
            "completion": pa.array([completions[i] for i in range(len(kept))], pa.string()),
            "correct": pa.array(correct, pa.bool_()),
        }
    )
    metadata = {"origin": job.origin(), "n": len(kept), "dropped": dropped}
    store.write_table(table, job.outputs["answers"], metadata)
    _LOG.info(
        "%s answers %s: %d of %d right, %d dropped",
        spec["model"], spec["task"], sum(correct), len(kept), len(dropped),
    )  # fmt: skip

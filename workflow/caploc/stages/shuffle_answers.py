"""The shuffled reference: the same prompts, each with the answer of another sample.

Settings: `ShuffleAnswers`. Input and output: ``samples``.
"""

import random
from dataclasses import dataclass

import pyarrow as pa

from caploc.files import store
from caploc.jobs.job import Job

__all__ = ["ShuffleAnswers", "run"]

_COLUMNS = ("sample_id", "prompt", "answer", "meta")


@dataclass(frozen=True, slots=True)
class ShuffleAnswers:
    """The shuffled reference of a task.

    Attributes:
        task: id
        seed: of the order
    """

    task: str
    seed: int


def run(job: Job) -> None:
    """Permute the answers at random and record how many samples kept an equal one."""
    told = job.told(ShuffleAnswers)
    table = store.read_table(job.input("samples"), _COLUMNS)
    answers = table["answer"].to_pylist()
    order = list(range(len(answers)))
    random.Random(f"{told.task}:{told.seed}:shuffled answers").shuffle(order)
    shuffled = [answers[i] for i in order]
    same = sum(a == b for a, b in zip(answers, shuffled, strict=True))
    place = table.schema.get_field_index("answer")
    before = store.read_metadata(job.input("samples"))
    metadata = {
        "origin": job.origin(),
        "n": len(answers),
        "wanted": before["wanted"],
        "chat": before.get("chat"),
        "dropped": {},
        "share_unchanged": same / len(answers) if answers else 0.0,
    }
    shuffled_table = table.set_column(place, "answer", pa.array(shuffled, pa.string()))
    store.write_table(shuffled_table, job.outputs["samples"], metadata)

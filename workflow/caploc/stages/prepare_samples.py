"""Make the four splits of a task: generated, or from rows of the hub or of local files.

Settings: `PrepareSamples`. Outputs: ``locate``, ``train``, ``validation``, ``test``.
"""

import json
import logging
from dataclasses import asdict, dataclass

import pyarrow as pa

from caploc import plugins
from caploc.catalogues.data import TaskSource
from caploc.files import store
from caploc.jobs.job import Job
from caploc.records import Sample
from caploc.samples.preparation import prepare
from caploc.settings import Seed

__all__ = ["PrepareSamples", "run", "samples_table"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PrepareSamples(TaskSource):
    """Make the splits of a task.

    Attributes:
        task: id
        content: digest of each of the files by its name, so that an edit counts as a setting
        seed: of what is drawn
    """

    task: str
    content: dict[str, str] | None = None
    seed: Seed


def run(job: Job) -> None:
    """Prepare and write every split."""
    told = job.told(PrepareSamples)
    task = plugins.load("tasks", told.plugin).TASK
    splits = prepare(task, job.spec, asdict(told.samples), told.seed)
    for name, split in splits.items():
        n = len(split.samples)
        metadata = {
            "origin": job.origin(),
            "n": n,
            "wanted": split.wanted,
            "dropped": dict(split.dropped),
            "sources": split.sources,
            "chat": {"system": told.system} if told.chat else None,
        }
        store.write_table(samples_table(split.samples), job.outputs[name], metadata)
        if n < split.wanted:
            _LOG.warning("%s %s: %d samples, wanted %d", told.task, name, n, split.wanted)
    counts = ", ".join(f"{name} {len(split.samples)}" for name, split in splits.items())
    _LOG.info("prepared %s: %s", told.task, counts)


def samples_table(samples: list[Sample]) -> pa.Table:
    """Samples as a table: sample_id, prompt, answer, meta (JSON)."""
    return pa.table(
        {
            "sample_id": pa.array([s.sample_id for s in samples], pa.string()),
            "prompt": pa.array([s.prompt for s in samples], pa.string()),
            "answer": pa.array([s.answer for s in samples], pa.string()),
            "meta": pa.array(
                [json.dumps(s.meta, sort_keys=True, ensure_ascii=False) for s in samples],
                pa.string(),
            ),
        }
    )

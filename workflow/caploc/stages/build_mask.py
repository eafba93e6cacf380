"""Mean scores of one task to a mask: the neurons that lie far from the mean."""

import logging
from dataclasses import dataclass
from typing import Any

import polars as pl

from caploc.catalogues.masks import MaskEntry
from caploc.files import store, tables
from caploc.files.masks import MASK, write_mask
from caploc.files.scores import scores_of_mask
from caploc.jobs.job import Job
from caploc.measures.masks import rule_of
from caploc.settings import plain

__all__ = ["BuildMask", "run"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BuildMask(MaskEntry):
    """Apply a mask rule, see `caploc.measures.masks.outliers`.

    Attributes:
        model: id
        task: id
        method: id
        mask: id
    """

    model: str | None = None
    task: str | None = None
    method: str | None = None
    mask: str | None = None


def run(job: Job) -> None:
    """Apply one mask rule to the mean over all samples.

    Args:
        job: input ``scores``, with ``others`` if the mask is against other tasks; output ``mask``.
            Scores that were not computed give a mask file that says so; a mask of too few samples
            for the experiments is made, and carries the reason as ``too_few``.

    Raises:
        DataError: a damaged scores file.
    """
    metadata: dict[str, Any] = {"origin": job.origin()}
    told = job.told(BuildMask)
    path, others = job.input("scores"), job.inputs.get("others", [])
    scores = scores_of_mask(path, told.against, others, halves=False)
    if isinstance(scores, str):
        facts = {"not_computed": scores, "n_samples": store.read_metadata(path)["n_samples"]}
        nothing = pl.DataFrame(schema=dict(MASK))
        tables.write_part(nothing, job.outputs["mask"], job.origin(), **facts)
        return
    rule = rule_of(plain(told))
    metadata["n_samples"] = scores.metadata["n_samples"]
    metadata["model"] = scores.metadata.get("model")
    if "too_few" in scores.metadata:
        metadata["too_few"] = scores.metadata["too_few"]
    n_located = write_mask(job.outputs["mask"], scores.whole, rule, metadata)
    log.info("%d of %d neurons located", n_located, scores.whole.size)

"""Files and settings of the jobs of this experiment: one function a stage, named like it."""

from typing import TYPE_CHECKING, Any

from caploc.catalogues.masks import MaskEntry
from caploc.experiments.agreement.settings import MeasureAgreement, MeasureOverlap
from caploc.settings import plain, read

if TYPE_CHECKING:
    from caploc.jobs.run import Run


def measure_agreement(run: "Run", model: str, task: str, method: str, mask: str) -> dict[str, Any]:
    arm = {"mixture": "mixture", run.settings["neutral"]: "neutral"}.get(task, "located")
    rule = read(MaskEntry, run.config["masks"][mask])
    return plain(MeasureAgreement(model, task, method, mask, arm, rule))


def measure_overlap(run: "Run", model: str, method: str, mask: str) -> dict[str, Any]:
    sigma, tasks = run.config["masks"][mask]["sigma"], tuple(run.settings["tasks"])
    return plain(MeasureOverlap(model, method, mask, tasks, sigma))

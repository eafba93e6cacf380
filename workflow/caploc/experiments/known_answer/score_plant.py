"""Score all neurons of a planted model for one capability by every locator under test.

Settings: `ScorePlant`. Inputs: ``manifest``, ``own``, ``others``, ``neutral``. Output: ``scores``:
locator, ranked, n_samples, layer, scores.
"""

import logging
import time

import polars as pl

from caploc import plugins
from caploc.experiments.known_answer._planted import PLACE
from caploc.experiments.known_answer.settings import ScorePlant
from caploc.files import tables
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of, samples_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.locating import Given, scores_of_task

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
_SCORES: tables.Schema = {
    **tables.texts("locator", "ranked"),
    "n_samples": tables.COUNT,
    "layer": tables.LAYER,
    "scores": pl.List(pl.Float64),
}


def run(job: Job) -> None:
    """Score, average, write."""
    use_processor(job.threads)
    told = job.told(ScorePlant)
    lm = model_of(job.input("manifest"), PLACE)
    n = told.samples
    given = Given(
        samples_of(lm, job.input("own"), n),
        {
            task: samples_of(lm, path, n)
            for task, path in zip(told.tasks, job.inputs.get("others", []), strict=True)
        },
        samples_of(lm, job.input("neutral"), n) if told.neutral else [],
    )
    parts, seconds = [], {}
    for name, entry in tracked(told.locators.items(), len(told.locators), "locators"):
        settings = dict(entry)
        locator = plugins.load("locators", settings.pop("locator"))
        started = time.monotonic()
        scored = scores_of_task(locator, lm, given, seed=told.seed, **settings)
        seconds[name] = round(time.monotonic() - started, 2)
        # A score that is no mean over samples has one part and no curve.
        some = [c for c in told.curve if c < len(scored)]
        for count in [*some, len(scored)]:
            values = scored[:count].mean(axis=0)
            part = pl.DataFrame({"layer": range(len(values)), "scores": values.tolist()})
            parts.append(
                part.with_columns(
                    locator=pl.lit(name), ranked=pl.lit(locator.RANKED),
                    n_samples=count if len(scored) > 1 else len(given.own),
                )
            )  # fmt: skip
    _LOG.info("%s: seconds %s", told.task, seconds)
    tables.write_part(tables.gathered(parts, _SCORES), job.outputs["scores"], job.origin())

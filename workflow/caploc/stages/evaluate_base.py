"""Let a model answer the test samples of a task, and score the answers.

Settings: `EvaluateBase`. Inputs: ``manifest``, ``samples``. Output: ``answers``: sample_id,
answer, completion, correct. Samples that do not fit the model's context are dropped and counted.
"""

import logging
from dataclasses import dataclass

import polars as pl

from caploc import plugins
from caploc.files import tables
from caploc.files.tables import TEXT
from caploc.forward.generation import complete
from caploc.forward.processor import use_processor
from caploc.forward.samples import encoded, model_of, samples_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.settings import Count
from caploc.stages.settings import Place

__all__ = ["EvaluateBase", "run"]

_LOG = logging.getLogger(__name__)
_ANSWERS = {"sample_id": TEXT, "answer": TEXT, "completion": TEXT, "correct": pl.Boolean}


@dataclass(frozen=True, kw_only=True)
class EvaluateBase(Place):
    """Let a model answer the test samples of a task.

    Attributes:
        task: id
        plugin: a file in workflow/caploc/tasks
        batch: prompts at once
    """

    task: str
    plugin: str
    batch: Count = 64


def run(job: Job) -> None:
    """Generate, score, write."""
    use_processor(job.threads)
    told = job.told(EvaluateBase)
    model = model_of(job.input("manifest"), job.spec)
    task = plugins.load("tasks", told.plugin).TASK
    texts = encoded(model, samples_of(model, job.input("samples")))
    prompts = [sample.prompt for sample in texts.samples]
    answers = [sample.answer for sample in texts.samples]
    work = complete(model, prompts, answers, told.batch)
    completions = dict(tracked(work, len(prompts), f"{told.task}: answers"))
    correct = [task.score(answer, completions[i]) for i, answer in enumerate(answers)]
    ids = [sample.sample_id for sample in texts.samples]
    said = [completions[i] for i in range(len(answers))]
    table = pl.DataFrame([ids, answers, said, correct], _ANSWERS)
    tables.write_part(
        table, job.outputs["answers"], job.origin(), n=len(answers), dropped=texts.dropped
    )
    _LOG.info(
        "%s answers %s: %d of %d right, %d dropped",
        told.model, told.task, sum(correct), len(answers), len(texts.dropped),
    )  # fmt: skip

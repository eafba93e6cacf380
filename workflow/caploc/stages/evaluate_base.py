"""Let a model answer the test samples of a task, and score the answers.

Settings: `EvaluateBase`. Inputs: ``manifest``, ``samples``. Output: ``answers``: sample_id,
answer, completion, correct. Samples that do not fit the model's context are dropped and counted.
"""

import logging
from dataclasses import dataclass

import pyarrow as pa

from caploc import plugins
from caploc.files import store
from caploc.forward.generation import complete
from caploc.forward.processor import use_processor
from caploc.forward.samples import encoded, model_of, samples_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.settings import Count
from caploc.stages.settings import Place

__all__ = ["EvaluateBase", "run"]

_LOG = logging.getLogger(__name__)


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
    texts = encoded(model, samples_of(job.input("samples")))
    prompts = [sample.prompt for sample in texts.samples]
    answers = [sample.answer for sample in texts.samples]
    work = complete(model, prompts, answers, told.batch)
    completions = dict(tracked(work, len(prompts), f"{told.task}: answers"))
    correct = [task.score(answer, completions[i]) for i, answer in enumerate(answers)]
    table = pa.table(
        {
            "sample_id": pa.array([sample.sample_id for sample in texts.samples], pa.string()),
            "answer": pa.array(answers, pa.string()),
            "completion": pa.array([completions[i] for i in range(len(answers))], pa.string()),
            "correct": pa.array(correct, pa.bool_()),
        }
    )
    metadata = {"origin": job.origin(), "n": len(answers), "dropped": texts.dropped}
    store.write_table(table, job.outputs["answers"], metadata)
    _LOG.info(
        "%s answers %s: %d of %d right, %d dropped",
        told.model, told.task, sum(correct), len(answers), len(texts.dropped),
    )  # fmt: skip

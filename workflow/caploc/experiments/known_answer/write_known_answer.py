"""The page about planted models.

Settings: `WriteKnownAnswer`. Input: ``table``. Output: ``page``.
"""

from caploc.experiments.known_answer.report import known_answer_page
from caploc.experiments.known_answer.settings import WriteKnownAnswer
from caploc.experiments.known_answer.table import KNOWN_ANSWER
from caploc.files import store, tables
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """Render."""
    table = tables.read(job.input("table"), KNOWN_ANSWER)
    title = job.told(WriteKnownAnswer).title
    store.write_text(known_answer_page(title, table), job.outputs["page"])

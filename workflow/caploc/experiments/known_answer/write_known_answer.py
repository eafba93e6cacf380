"""The page about planted models.

Settings: none. Input: ``table``. Output: ``page``.
"""

from caploc.experiments.known_answer.report import known_answer_page
from caploc.experiments.known_answer.table import KNOWN_ANSWER
from caploc.files import store, tables
from caploc.jobs.job import Job

__all__ = ["run"]

_TITLE = "Known answer: do the locators find what is there?"


def run(job: Job) -> None:
    """Render."""
    table = tables.read(job.input("table"), KNOWN_ANSWER)
    store.write_text(known_answer_page(_TITLE, table), job.outputs["page"])

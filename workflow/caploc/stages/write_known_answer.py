"""The page about planted models.

Settings: ``title``. Input: ``table``. Output: ``page``.
"""

from caploc import store
from caploc.provenance import Job
from caploc.report.known_answer import known_answer_page
from caploc.stages._known_answer_table import KNOWN_ANSWER

__all__ = ["run"]


def run(job: Job) -> None:
    """Render."""
    rows = store.read_table(job.input("table"), KNOWN_ANSWER.names).to_pylist()
    store.write_text(known_answer_page(job.spec["title"], rows), job.outputs["page"])

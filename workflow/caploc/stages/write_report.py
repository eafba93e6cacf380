"""All tables of a run to one page: ``report.html`` needs no other file and no network."""

import logging

from caploc import store
from caploc.provenance import Job
from caploc.report.inputs import read_inputs
from caploc.report.page import render

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(job: Job) -> None:
    """Write the page.

    Inputs: the tables agreement, neurons, base, samples and completeness, ``models`` (manifests),
    ``losses`` (may be none) and ``splits``. Output: ``report``. Further inputs are only listed.
    """
    page = render(read_inputs(job))
    store.write_text(page, job.outputs["report"])
    log.info("report of %d kB: %s", len(page.encode()) // 1024, job.outputs["report"])

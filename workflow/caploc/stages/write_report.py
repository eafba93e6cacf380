"""All tables of a run to one page: ``report.html`` needs no other file and no network.

Its figures are also written as files, for papers.
"""

import logging

from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.report.inputs import read_inputs
from caploc.report.page import render
from caploc.report.svg import Drawing

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(job: Job) -> None:
    """Write the page.

    Inputs: the tables agreement, neurons, base, samples and completeness, those of experiments that
    the run has, ``models`` (manifests), ``losses`` (may be none), ``splits``, and further files
    that experiments ask for. Outputs: ``report``, and ``figures``, the manifest of a folder with
    every figure of the page as SVG.
    """
    drawn: list[Drawing] = []
    page = render(read_inputs(job), drawn)
    manifest = job.outputs["figures"]
    digests = {}
    for drawing in drawn:
        path = manifest.parent / f"{drawing.name}.svg"
        store.write_text(drawing.document(), path)
        digests[path.name] = file_digest(path)
    for old in manifest.parent.glob("*.svg"):
        if old.name not in digests:  # of an earlier run with other settings
            old.unlink()
    store.write_json({"path": "", "files": digests, "origin": job.origin()}, manifest)
    store.write_text(page, job.outputs["report"])
    log.info("report of %d kB: %s", len(page.encode()) // 1024, job.outputs["report"])

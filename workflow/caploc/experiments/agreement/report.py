"""The sections on agreement: stability, threshold, places, samples needed, between data sets."""

from typing import Any

from caploc.experiments.agreement import _report_numbers
from caploc.experiments.agreement._findings import findings, tiles
from caploc.experiments.agreement._pairs import pair_verdict
from caploc.experiments.agreement._places import neuron_panels
from caploc.experiments.agreement._report_figures import (
    agreement_figure,
    sigma_panels,
    stability_panels,
)
from caploc.experiments.agreement.table import AGREEMENT
from caploc.files.base_tables import NEURONS
from caploc.report.inputs import Inputs
from caploc.report.palette import SERIES, SHARING
from caploc.report.views import views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section", "tiles"]

TABLES = {"agreement": AGREEMENT, "neurons": NEURONS}
ORDER = 10
CONTENTS = (
    ("stability", "Are the same neurons found again?"),
    ("sigma", "Does the threshold matter?"),
    ("places", "Where they sit"),
    ("size", "How many samples it takes"),
    ("between", "Between data sets"),
)


def section(inputs: Inputs) -> dict[str, Any]:
    """What the page shows.

    Returns:
        Functions that ``find`` the numbers, legends ``series`` and ``sharing``, and of every view
        its rows ``frame``, the ``figure`` beside the references, the ``verdict`` of the pairs,
        panels ``sigma_panels``, ``maps`` and ``curves``.
    """
    found = [
        {
            "view": view,
            "figure": agreement_figure(view),
            "frame": _report_numbers.rows(view),
            "sigma_panels": sigma_panels(view),
            "maps": neuron_panels(view),
            "curves": stability_panels(view),
            "verdict": pair_verdict(view),
        }
        for view in views(inputs)
    ]
    return {"find": _report_numbers, "series": SERIES, "sharing": SHARING, "views": found}

"""Dose curves: the fall of the log-probability against the share of silenced neurons."""

import polars as pl

from caploc.report.charts import curves, log_x
from caploc.report.numbers import matching
from caploc.report.palette import CHANCE, LOCATED, MIXTURE, Series
from caploc.report.svg import Panel, inline_svg
from caploc.report.views import View

__all__ = ["DOSES", "DOSE_SERIES", "dose_panels"]

DOSE_SERIES = (
    Series("located", "farthest from the mean score", LOCATED.colour, "", (1, 0)),
    Series("activation-size", "largest activations", MIXTURE.colour, "", (6, 3)),
    Series("random", "random, same number in each layer", CHANCE.colour, "", (2, 3)),
)
DOSES = {
    "located": {"arm": "located", "control": ""},
    "activation-size": {"arm": "activation-size", "control": ""},
    "random": {"arm": "located", "control": "layer"},
}


def dose_panels(view: View, frame: pl.DataFrame, shots: int) -> list[Panel]:
    """One panel for each data set that has doses.

    Args:
        view: model and method.
        frame: rows of the table `erasure` with so many worked examples.
        shots: worked examples in front of each question.
    """
    panels = []
    for task in view.inputs.tasks:
        falls = matching(frame, dataset=task.id, mask="", mode="all", metric="logprob_fall")
        falls = falls.drop_nulls(["share", "value"]).sort("share")
        rows = [
            {
                "x": 100 * found["share"],
                "series": series,
                "value": found["value"],
                "low": found["value"] if found["ci_low"] is None else found["ci_low"],
                "high": found["value"] if found["ci_high"] is None else found["ci_high"],
            }
            for series, where in DOSES.items()
            for found in matching(falls, **where).iter_rows(named=True)
        ]
        if not rows:
            continue
        name = f"{view.slug}-dose-{shots}-{task.id}"
        spoken = f"{task.title}: fall of the log-probability against the share of silenced neurons"
        x = log_x(rows, "% of all neurons silenced")
        chart = curves(rows, DOSE_SERIES, task.title, x, "fall, nat per token")
        panels.append(Panel(task.title, inline_svg(chart, name, spoken, DOSE_SERIES)))
    return panels

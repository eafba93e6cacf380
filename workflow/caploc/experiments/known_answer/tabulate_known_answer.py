"""The table `known_answer`: every planted model and capability, and means over them.

Settings: none. Inputs: ``parts``. Outputs: ``csv`` and ``parquet``. Rows without a seed are means
over the seeds of a plant and capability, rows without a capability too means over all that passed
the surgery check; intervals are the range.
"""

from caploc.experiments.known_answer.table import KNOWN_ANSWER, Row
from caploc.files import store
from caploc.files._old_tables import rows, write
from caploc.jobs.job import Job
from caploc.measures.statistics import spread

__all__ = ["averages", "run"]

_NAMED = ("locator", "truth", "n_samples", "sigma", "rule", "set", "metric")


def run(job: Job) -> None:
    """Put the parts together and average.

    Args:
        job: inputs ``parts``; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged part.
    """
    found: list[Row] = []
    for path in job.inputs["parts"]:
        found += store.read_table(path, list(KNOWN_ANSWER)).to_pylist()
    table = rows([*found, *averages(found)], KNOWN_ANSWER)
    write(job, table)


def averages(found: list[Row]) -> list[Row]:
    """Means over seeds, then over all plants, seeds and capabilities that passed the check.

    Args:
        found: rows of all parts.
    """
    return _means(found, ("plant", "dataset")) + _means(found, ())


def _means(found: list[Row], over: tuple[str, ...]) -> list[Row]:
    """Mean and range of every number that several plants have."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    usable = {
        (row["plant"], row["seed"], row["dataset"])
        for row in found
        if row["metric"] == "usable" and row["value"]
    }
    for row in found:
        of = (row["plant"], row["seed"], row["dataset"])
        if row["metric"] != "usable" and of in usable and row["metric"] not in ("effective",):
            groups.setdefault(tuple(row[k] for k in (*over, *_NAMED)), []).append(row)
    means = []
    for key, members in groups.items():
        estimate = spread([row["value"] for row in members])
        if estimate is None or (not over and not members[0]["locator"]):
            continue
        named = dict(zip((*over, *_NAMED), key, strict=True))
        what = "seeds" if over else "plants, seeds and capabilities"
        means.append(
            named
            | {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}
            | {"interval": f"range over {what}", "n": estimate.n}
        )
    return means

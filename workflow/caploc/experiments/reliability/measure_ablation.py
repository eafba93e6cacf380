"""One metric for all locators: what silencing at equal cost does to the answer and to other text.

Settings: `MeasureAblation`. Inputs: ``outcomes`` (all shards of `ablate_units`). Output: ``part``
of the table `reliability`.

Rows have a ``budget``; ``control`` is empty for the located sets, "random" for the mean of R random
sets of the same units and cost, "located minus random" for the difference within each fact. p is
(1 + number of draws whose mean over facts is at least the located one) / (R + 1), exploratory.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.reliability.settings import MeasureAblation
from caploc.experiments.reliability.table import OVER_FACTS, RELIABILITY
from caploc.files import store, tables
from caploc.jobs.job import Job
from caploc.measures.budgets import Units
from caploc.measures.statistics import bootstrap_mean, permutation_p
from caploc.measures.summaries import exact, missing, not_computed, of_estimates
from caploc.records import DataError

__all__ = ["run"]

_MEASURES = {
    "logprob_fall": "log-probability of the answer",
    "fluency_fall": "log-probability of neutral text",
}
_COUNTS = ["neurons", "heads", "ffn_layers"]
_SET = ["fact_id", *_COUNTS]


def run(job: Job) -> None:
    """Measure every locator at every budget.

    Raises:
        DataError: a damaged file, or shards of different models.
    """
    told = job.told(MeasureAblation)
    about: dict[str, Any] = {}
    for path in job.inputs["outcomes"]:
        metadata = store.read_metadata(path)
        found = {key: metadata[key] for key in ("units", "budgets", "n_texts", "rankings")}
        if about and found != about:
            raise DataError(f"{path}: other units or budgets than before; delete both, run again")
        about = found
    rows = pl.concat([tables.read(path) for path in job.inputs["outcomes"]])
    drawn = rows.filter(pl.col("draw").is_not_null()).sort("draw", maintain_order=True)
    random = drawn.group_by(_SET).agg(pl.col(list(_MEASURES)).name.suffix("_random"))
    located = rows.filter(pl.col("draw").is_null()).join(
        random, on=_SET, how="left", maintain_order="left"
    )
    parts = [
        pl.DataFrame({"budget": list(about["budgets"]), "value": list(about["budgets"].values())})
        .with_columns(metric=pl.lit("shared_budget"))
    ]  # fmt: skip
    for budget in about["budgets"]:
        for locator, rule in about["rankings"].items():
            own = located.filter(locator=locator, budget=budget)
            named = {"locator": locator, "rule": rule, "budget": budget}
            literal = {name: pl.lit(value) for name, value in named.items()}
            for cell in _cell(told, own, Units(**about["units"]), about["n_texts"]):
                parts.append(cell.with_columns(**literal))
    part = tables.gathered(parts, RELIABILITY)
    part = part.with_columns(model=pl.lit(told.model), dataset=pl.lit(told.facts))
    tables.write_part(part, job.outputs["part"], job.origin())


def _cell(
    told: MeasureAblation, own: pl.DataFrame, units: Units, n_texts: int
) -> Iterator[pl.DataFrame]:
    """One locator at one budget."""
    n = own["fact_id"].n_unique()
    left_out = own.filter(pl.col("reason") != "").group_by(interval="reason").len("value")
    yield left_out.with_columns(metric=pl.lit("shared_left_out"), n=n)
    usable = own.filter(pl.col("reason") == "")
    n_usable = len(usable)
    if short := int(usable["short"].sum()):
        yield exact(short, n, metric="shared_short")
    if n_usable:
        sizes = usable.select(pl.sum_horizontal(_COUNTS)).to_numpy()
        shares = usable["weights"].to_numpy() / units.total
        yield exact(float(sizes.mean()), n_usable, metric="shared_units")
        yield exact(float(np.mean(shares)), n_usable, metric="shared_share")
        fewest = min(map(units.n_sets, usable.select(_COUNTS).iter_rows()))
        if fewest < told.draws:
            yield exact(fewest, n_usable, metric="shared_sets")
    for name, measure in _MEASURES.items():
        if name == "fluency_fall" and not n_texts:
            found = missing("the run has no neutral text").drop("n")
        elif n_usable < told.minimum:
            found = pl.DataFrame({"interval": not_computed(n_usable, told.minimum), "n": n_usable})
        else:
            drawn = np.array(usable[f"{name}_random"].to_list())
            found = _compared(usable[name].to_numpy(), drawn, told.seed)
        yield found.with_columns(metric=pl.lit(f"shared_{name}"), measure=pl.lit(measure))


def _compared(located: NDArray[np.float64], drawn: NDArray[np.float64], seed: int) -> pl.DataFrame:
    """(fact,) located against (fact, draw) random: a row for each `control`."""
    random, n_draws = drawn.mean(axis=1), drawn.shape[1]
    found = {"": located, "random": random, "located minus random": located - random}
    p = permutation_p(float(located.mean()), drawn.mean(axis=0))
    estimates = of_estimates([bootstrap_mean(x, seed=seed) for x in found.values()], OVER_FACTS)
    rows = estimates.with_columns(
        control=pl.Series(list(found)),
        n_draws=pl.Series([None, n_draws, n_draws]),
        p=pl.Series([None, None, p]),
        role=pl.Series(["", "", "exploratory"]),
    )
    # Facts with one set in common and one text have no interval over facts.
    same = pl.Series([np.ptp(x) == 0 for x in found.values()])
    return rows.with_columns(
        pl.when(~same).then(pl.col("ci_low", "ci_high")),
        interval=pl.when(same).then(pl.lit("the same sets for all facts")).otherwise("interval"),
    )

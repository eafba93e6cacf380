"""One metric for all locators: what silencing at equal cost does to the answer and to other text.

Settings: ``model``, ``facts`` (id), ``minimum`` (facts), ``draws`` (R), ``seed``. Inputs:
``outcomes`` (all shards of `ablate_units`). Output: ``part`` of the table `reliability`.

Rows have a ``budget``; ``control`` is empty for the located sets, "random" for the mean of R random
sets of the same units and cost, "located minus random" for the difference within each fact. p is
(1 + number of draws whose mean over facts is at least the located one) / (R + 1), exploratory.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.reliability.table import RELIABILITY
from caploc.files import store
from caploc.files._old_tables import rows as as_table
from caploc.jobs.job import Job
from caploc.measures.averages import Row, averaged, not_computed
from caploc.measures.budgets import Units
from caploc.measures.statistics import permutation_p
from caploc.records import DataError

__all__ = ["run"]

_MEASURES = (
    ("logprob_fall", "shared_logprob_fall", "log-probability of the answer"),
    ("fluency_fall", "shared_fluency_fall", "log-probability of neutral text"),
)
Counts = tuple[int, ...]


def run(job: Job) -> None:
    """Measure every locator at every budget.

    Raises:
        DataError: a damaged file, or shards of different models.
    """
    spec = job.spec
    rows: list[dict[str, Any]] = []
    about: dict[str, Any] = {}
    for path in job.inputs["outcomes"]:
        metadata = store.read_metadata(path)
        found = {key: metadata[key] for key in ("units", "budgets", "n_texts", "rankings")}
        if about and found != about:
            raise DataError(f"{path}: other units or budgets than before; delete both, run again")
        about = found
        rows += store.read_table(path).to_pylist()
    units = Units(**about["units"])
    random = _draws(rows, spec["draws"])
    table: list[Row] = []
    for budget, weights in about["budgets"].items():
        table.append({"budget": budget, "metric": "shared_budget", "value": weights})
        for locator, rule in about["rankings"].items():
            own = [r for r in rows if (r["locator"], r["budget"]) == (locator, budget)]
            named = {"locator": locator, "rule": rule, "budget": budget}
            table += [named | row for row in _cell(spec, own, random, units, about["n_texts"])]
    base = {"model": spec["model"], "dataset": spec["facts"]}
    part = as_table([base | row for row in table], RELIABILITY)
    store.write_table(part, job.outputs["part"], {"origin": job.origin()})


def _counts(row: Mapping[str, Any]) -> Counts:
    return row["neurons"], row["heads"], row["ffn_layers"]


def _draws(
    rows: Sequence[Mapping[str, Any]], n_draws: int
) -> dict[tuple[str, Counts], dict[str, NDArray[np.float64]]]:
    """(draw,) outcomes by fact and counts, for each measure."""
    empty = np.full(n_draws, np.nan)
    found: dict[tuple[str, Counts], dict[str, NDArray[np.float64]]] = defaultdict(
        lambda: {name: empty.copy() for name, _, _ in _MEASURES}
    )
    for row in rows:
        if row["draw"] is not None:
            values = found[row["fact_id"], _counts(row)]
            for name, _, _ in _MEASURES:
                if row[name] is not None:
                    values[name][row["draw"]] = row[name]
    return found


def _cell(
    spec: Mapping[str, Any],
    own: Sequence[Mapping[str, Any]],
    random: Mapping[tuple[str, Counts], Mapping[str, NDArray[np.float64]]],
    units: Units,
    n_texts: int,
) -> Iterator[Row]:
    """One locator at one budget."""
    n = len({row["fact_id"] for row in own})
    for reason, count in sorted(Counter(r["reason"] for r in own if r["reason"]).items()):
        yield {"metric": "shared_left_out", "interval": reason, "value": count, "n": n}
    usable = [row for row in own if not row["reason"]]
    short = sum(row["short"] for row in usable)
    if short:
        yield {"metric": "shared_short", "value": short, "n": n}
    if usable:
        sizes = [sum(_counts(row)) for row in usable]
        share = [row["weights"] / units.total for row in usable]
        yield {"metric": "shared_units", "value": float(np.mean(sizes)), "n": len(usable)}
        yield {"metric": "shared_share", "value": float(np.mean(share)), "n": len(usable)}
        fewest = min(units.n_sets(_counts(row)) for row in usable)  # type: ignore[arg-type]
        if fewest < spec["draws"]:
            yield {"metric": "shared_sets", "value": fewest, "n": len(usable)}
    for name, metric, measure in _MEASURES:
        named = {"metric": metric, "measure": measure}
        if name == "fluency_fall" and not n_texts:
            yield named | {"interval": "not computed: the run has no neutral text"}
        elif len(usable) < spec["minimum"]:
            yield named | not_computed(len(usable), spec["minimum"])
        else:
            located = np.array([row[name] for row in usable])
            drawn = np.stack([random[row["fact_id"], _counts(row)][name] for row in usable])
            for row in _compared(spec, located, drawn):
                yield named | row


def _compared(
    spec: Mapping[str, Any], located: NDArray[np.float64], drawn: NDArray[np.float64]
) -> Iterator[Row]:
    """(fact,) located against (fact, draw) random."""
    draws = {"n_draws": drawn.shape[1]}
    yield {"control": ""} | _mean(spec, located)
    yield {"control": "random"} | draws | _mean(spec, drawn.mean(axis=1))
    difference = _mean(spec, located - drawn.mean(axis=1))
    p = permutation_p(float(located.mean()), drawn.mean(axis=0))
    yield {"control": "located minus random", "p": p, "role": "exploratory"} | draws | difference


def _mean(spec: Mapping[str, Any], values: NDArray[np.float64]) -> Row:
    """Mean over facts; facts with one set in common and one text have no interval over facts."""
    found = averaged(values.tolist(), spec["minimum"], spec["seed"])
    if np.ptp(values) == 0:
        found |= {"ci_low": None, "ci_high": None, "interval": "the same sets for all facts"}
    return found

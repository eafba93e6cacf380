"""Rows of the table `erasure` from the files of one task."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc.measures.effects import dose_area, estimate_row, excess, shown_range
from caploc.measures.statistics import bootstrap_mean, wilson

__all__ = ["BASE", "Key", "by_arm", "likelihood_rows", "set_rows", "told_rows"]

Key = tuple[str, str, str, float | None]
"""Mask, arm, mode, share: one set of neurons and how it is silenced."""
BASE: Key = ("", "base", "all", None)
_SHARES = ("accuracy", "lenient", "malformed", "parses", "ranked")


def by_arm(table: pa.Table, column: str) -> dict[tuple[int, Key, str], NDArray[np.float64]]:
    """(shots, arm, control) -> (draw, sample) numbers of a column; NaN where it is empty."""
    names = ("shots", "mask", "arm", "mode", "share", "control", "draw", "sample_id", column)
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    found: dict[tuple[int, Key, str], dict[int, dict[str, float]]] = {}
    for shots, mask, arm, mode, share, control, draw, sample, value in rows:
        draws = found.setdefault((shots, (mask, arm, mode, share), control), {})
        draws.setdefault(draw, {})[sample] = np.nan if value is None else value
    # Paired: every arm in the same order of samples.
    return {
        key: np.array([[draws[d][s] for s in sorted(draws[d])] for d in sorted(draws)])
        for key, draws in found.items()
    }


def columns(key: Key, control: str = "") -> dict[str, Any]:
    """Identifying columns of a row."""
    mask, arm, mode, share = key
    return {"mask": mask, "arm": arm, "mode": mode, "share": share, "control": control}


def likelihood_rows(table: pa.Table, headline: str, seed: int) -> Iterator[dict[str, Any]]:
    """Log-probability, its fall, and every fall beside its controls."""
    logprob, n_tokens = by_arm(table, "logprob"), by_arm(table, "n_tokens")
    right = by_arm(table, "n_right")
    falls: dict[tuple[int, Key, str], NDArray[np.float64]] = {}
    for (shots, key, control), found in logprob.items():
        tokens = n_tokens[shots, BASE, ""]
        base = logprob[shots, BASE, ""] / tokens
        values = found / tokens
        falls[shots, key, control] = base - values
        exact = (right[shots, key, control] == tokens).astype(float)
        where = columns(key, control) | {"shots": shots}
        fall = falls[shots, key, control]
        n = fall.shape[1]
        if control:
            yield where | shown_range("logprob_fall", fall.mean(axis=1), n)
            yield where | shown_range("exact", exact.mean(axis=1), n)
            continue
        yield where | estimate_row("logprob", bootstrap_mean(values[0], seed=seed))
        share = wilson(int(exact.sum()), n)
        yield where | estimate_row("exact", share, "Wilson 95 %")
        token_share = right[shots, key, ""][0] / tokens[0]
        yield where | estimate_row("token_accuracy", bootstrap_mean(token_share, seed=seed))
        if key != BASE:
            yield where | estimate_row("logprob_fall", bootstrap_mean(fall[0], seed=seed))
    for (shots, key, control), fall in falls.items():
        if not control:
            continue
        own = excess(falls[shots, key, ""][0], fall, seed)
        primary = shots == 0 and key == (headline, "located", "all", None) and control == "matched"
        yield (
            columns(key, control)
            | {"shots": shots, "n_draws": own.n_draws, "p": own.p}
            | estimate_row("logprob_excess", own.estimate)
            | {"role": "primary" if primary else "exploratory"}
        )
    yield from _dose_rows(falls, seed)


def _dose_rows(
    falls: dict[tuple[int, Key, str], NDArray[np.float64]], seed: int
) -> Iterator[dict[str, Any]]:
    """Area under the curve of every arm that has doses, and its excess over the random sets."""
    curves: dict[tuple[int, str, str], dict[float, NDArray[np.float64]]] = {}
    for (shots, (_, arm, _, share), control), fall in falls.items():
        if share is not None:
            curves.setdefault((shots, arm, control), {})[share] = fall.mean(axis=0)
    for (shots, arm, control), curve in curves.items():
        shares = sorted(curve)
        if len(shares) < 2:
            continue
        area = dose_area([curve[s] for s in shares], shares)
        where = columns(("", arm, "all", None), control) | {"shots": shots}
        yield where | estimate_row("dose_area", bootstrap_mean(area, seed=seed))
        if control:
            own = curves[shots, arm, ""]
            gain = dose_area([own[s] for s in shares], shares) - area
            yield where | estimate_row("dose_area_excess", bootstrap_mean(gain, seed=seed))


def told_rows(table: pa.Table, seed: int) -> Iterator[dict[str, Any]]:
    """Generated answers: every score of every arm, and the change from the unchanged model."""
    for metric in (*_SHARES, "bleu"):
        found = by_arm(table, metric)
        for (shots, key, control), values in found.items():
            if np.isnan(values).any():
                continue
            where = columns(key, control) | {"shots": shots}
            n = values.shape[1]
            if control:
                yield where | shown_range(metric, values.mean(axis=1), n)
            elif metric == "bleu":
                yield where | estimate_row(metric, bootstrap_mean(values[0], seed=seed))
            else:
                share = wilson(int(values.sum()), n)
                yield where | estimate_row(metric, share, "Wilson 95 %")
            if metric != "accuracy" or key == BASE:
                continue
            change = values.mean(axis=0) - found[shots, BASE, ""][0]
            yield where | estimate_row("accuracy_change", bootstrap_mean(change, seed=seed))
            if control:
                beyond = found[shots, key, ""][0] - values.mean(axis=0)
                more = estimate_row("accuracy_excess", bootstrap_mean(beyond, seed=seed))
                yield where | more | {"n_draws": len(values), "role": "exploratory"}


def set_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Size of every set, match of its controls, and what it does to neutral text."""
    groups: dict[tuple[Key, str], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        key = (row["mask"], row["arm"], row["mode"], row["share"])
        groups.setdefault((key, row["control"]), []).append(row)
    for (key, control), found in groups.items():
        where = columns(key, control)
        if not control:
            yield where | {"metric": "n_neurons", "value": float(found[0]["n_neurons"]), "n": 1}
        else:
            differences = [r["size_difference"] for r in found if r["size_difference"] is not None]
            if differences:
                yield where | shown_range("size_difference", differences, found[0]["n_neurons"])
            kinds = len({r["set_key"] for r in found})
            yield where | {
                "metric": "n_distinct", "value": float(kinds), "n": len(found),
                "n_draws": len(found),
            }  # fmt: skip
        told = [r for r in found if r["neutral_logprob"] is not None and r["neutral_tokens"]]
        if told:
            perplexity = [np.exp(-sum(r["neutral_logprob"]) / r["neutral_tokens"]) for r in told]
            n = len(told[0]["neutral_logprob"])
            if control:
                yield where | shown_range("perplexity", perplexity, n)
            else:
                yield where | {"metric": "perplexity", "value": float(perplexity[0]), "n": n}

"""IPP of each locator of single facts by its own validation, with what belongs beside it.

Settings: ``model``, ``facts`` (id), ``minimum`` (facts), ``layer`` (fixed layer of causal tracing,
null: the one of the largest mean effect), ``seed``. Inputs: ``kn``, ``circuit``, ``edits``
(outcomes of the validations). Output: ``part`` of the table `reliability`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.reliability._performance import Performance, explained, ipp_intervals
from caploc.experiments.reliability.table import RELIABILITY
from caploc.files import store
from caploc.files._old_tables import rows as as_table
from caploc.jobs.job import Job
from caploc.measures.averages import Row, averaged, not_computed

__all__ = ["run"]

_BOOTSTRAP = "bootstrap over facts, 95 %"
_HITS = (1, 10)
_SHARES = ("efficacy", "paraphrase", "neighbourhood")
_REGRESSION_DRAWS = 200


def run(job: Job) -> None:
    """Measure all three locators.

    Raises:
        DataError: a damaged file.
    """
    spec = job.spec
    base = {"model": spec["model"], "dataset": spec["facts"]}
    found: list[Row] = []
    for locator, rows in (
        ("kn", _kn(spec, *_read(job, "kn"))),
        ("circuit", _circuit(spec, *_read(job, "circuit"))),
        ("rome", _rome(spec, *_read(job, "edits"))),
    ):
        found += [base | {"locator": locator} | row for row in rows]
    store.write_table(as_table(found, RELIABILITY), job.outputs["part"], {"origin": job.origin()})


def _read(job: Job, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    path = job.input(name)
    return store.read_table(path).to_pylist(), store.read_metadata(path)


def _kinds(
    spec: Mapping[str, Any], performance: Performance, named: Row, *, primary: bool
) -> Iterator[Row]:
    """All numbers of one comparison, or why there are none."""
    n = len(performance.located)
    named = named | {"n_draws": len(performance.random)}
    if n < spec["minimum"]:
        yield named | {"metric": "ipp"} | not_computed(n, spec["minimum"])
        return
    for kind, found in ipp_intervals(performance, seed=spec["seed"]).items():
        row = {"metric": kind, "value": found.value, "ci_low": found.low, "ci_high": found.high}
        role = "primary" if primary and kind == "ipp" else ""
        yield named | row | {"interval": _BOOTSTRAP, "n": n, "role": role}


def _by_set(
    rows: Sequence[dict[str, Any]], rule: str, control: str, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(fact,) of the located set and (draw, fact) of the random ones."""
    own = [r for r in rows if r["rule"] == rule]
    located = {r["fact_id"]: r[name] for r in own if not r["control"]}
    drawn = {(r["draw"], r["fact_id"]): r[name] for r in own if r["control"] == control}
    draws = sorted({draw for draw, _ in drawn})
    grid = [[drawn[draw, fact] for fact in located] for draw in draws]
    return (
        np.array(list(located.values()), dtype=float),
        np.array(grid, dtype=float).reshape(len(draws), len(located)),
    )


def _kn(
    spec: Mapping[str, Any], rows: list[dict[str, Any]], about: Mapping[str, Any]
) -> Iterator[Row]:
    yield {"metric": "facts", "value": about["n_known"], "n": about["n_known"]}
    if about["empty"]:
        yield {"metric": "dropped", "interval": "locates no neuron", "value": about["empty"]}
    if not rows:
        missing = {"control": "layer", "measure": "suppress and enhance", "metric": "ipp"}
        yield missing | not_computed(0, spec["minimum"])
    for rule in dict.fromkeys(r["rule"] for r in rows):
        units = [r["n_units"] for r in rows if r["rule"] == rule and not r["control"]]
        size = {"rule": rule, "metric": "located_count", "n": len(units)}
        yield size | {"value": float(np.mean(units))}
        for control in ("layer", "uniform"):
            base, bases = _by_set(rows, rule, control, "probability")
            low, lows = _by_set(rows, rule, control, "suppressed")
            high, highs = _by_set(rows, rule, control, "enhanced")
            measures = {
                "suppress and enhance": ((high - low) / 2, (highs - lows) / 2),
                "suppress": (base - low, bases - lows),
                "enhance": (high - base, highs - bases),
            }
            for measure, (own, others) in measures.items():
                performance = Performance.of(own, others[:-1], base, others[-1:])
                named = {"rule": rule, "control": control, "measure": measure}
                primary = control == "layer" and measure == "suppress and enhance"
                yield from _kinds(spec, performance, named, primary=primary)


def _circuit(
    spec: Mapping[str, Any], rows: list[dict[str, Any]], about: Mapping[str, Any]
) -> Iterator[Row]:
    yield {"metric": "facts", "value": about["n_known"], "n": about["n_known"]}
    rules = list(dict.fromkeys(r["rule"] for r in rows))
    if not rules:
        missing = {"control": "connected", "measure": f"Hit@{_HITS[-1]}", "metric": "ipp"}
        yield missing | not_computed(0, spec["minimum"])
    for rule in rules:
        own = [r for r in rows if r["rule"] == rule and not r["control"]]
        empty = sum(r["n_units"] == 0 for r in own)
        yield {
            "rule": rule, "metric": "located_count", "n": len(own),
            "value": float(np.mean([r["n_units"] for r in own])),
        }  # fmt: skip
        yield {"rule": rule, "metric": "empty_sets", "value": empty, "n": len(own)}
        ranks, drawn = _by_set(rows, rule, "connected", "rank")
        for k in _HITS:
            hits = Performance.of(ranks <= k, drawn[:-1] <= k, None, drawn[-1:] <= k)
            named = {"rule": rule, "control": "connected", "measure": f"Hit@{k}"}
            primary = rule == rules[0] and k == _HITS[-1]
            yield from _kinds(spec, hits, named, primary=primary)


def _rome(
    spec: Mapping[str, Any], rows: list[dict[str, Any]], about: Mapping[str, Any]
) -> Iterator[Row]:
    facts = list(dict.fromkeys(r["fact_id"] for r in rows))
    yield {"metric": "facts", "value": len(facts), "n": len(facts)}
    for reason, n in sorted(about["dropped"].items()):
        yield {"metric": "dropped", "interval": reason, "value": n}
    for layer in about["singular_layers"]:
        note = "second moment singular: regularised"
        yield {"metric": "singular", "layer": layer, "value": 1, "interval": note}
    if len(facts) < spec["minimum"]:
        reason = not_computed(len(facts), spec["minimum"])
        yield {"control": "other layers", "measure": "efficacy", "metric": "ipp"} | reason
        return
    cells = {(r["fact_id"], r["layer"]): r for r in rows}
    layers = list(range(about["n_layers"]))
    effects = _grid(cells, facts, layers, "effect")
    fixed = int(effects.mean(0).argmax()) if spec["layer"] is None else int(spec["layer"])
    yield from _edits(spec, cells, facts, layers)
    traced = effects.argmax(1)
    for measure in (*_SHARES, "score"):
        names = _SHARES if measure == "score" else (measure,)
        usable = [
            i for i, fact in enumerate(facts)
            if all(cells[fact, 0][name] is not None for name in names)
        ]  # fmt: skip
        without = {"measure": measure, "metric": "facts_without", "n": len(facts)}
        yield without | {"value": len(facts) - len(usable)}
        # (layer, fact, part)
        found = np.stack(
            [_grid(cells, [facts[i] for i in usable], layers, name).T for name in names], axis=-1
        )
        others = [layer for layer in layers if layer != fixed]
        for rule, own, pool in (
            (f"fixed layer {fixed}", found[fixed], found[others]),
            ("traced layer of each fact", found[traced[usable], np.arange(len(usable))], found),
        ):
            control = "other layers" if rule.startswith("fixed") else "all layers"
            named = {"rule": rule, "control": control, "measure": measure}
            if not len(usable) or not len(pool):
                yield named | {"metric": "ipp"} | not_computed(len(usable), spec["minimum"])
                continue
            primary = rule.startswith("fixed") and measure == "efficacy"
            yield from _kinds(spec, Performance.of(own, pool), named, primary=primary)
    yield from _regression(spec, effects, _grid(cells, facts, layers, "margin"))


def _grid(
    cells: Mapping[tuple[str, int], dict[str, Any]],
    facts: Sequence[str],
    layers: Sequence[int],
    name: str,
) -> NDArray[np.float64]:
    """(fact, layer) values."""
    found = [[cells[fact, layer][name] for layer in layers] for fact in facts]
    return np.array(found, dtype=float).reshape(len(facts), len(layers))


def _edits(
    spec: Mapping[str, Any],
    cells: Mapping[tuple[str, int], dict[str, Any]],
    facts: Sequence[str],
    layers: Sequence[int],
) -> Iterator[Row]:
    """What the edit of each layer achieves, and the unedited model (layer -1)."""
    for layer in (-1, *layers):
        for name in (*_SHARES, "margin", "fluency", "effect"):
            values = [v for f in facts if (v := cells[f, layer][name]) is not None]
            if not values:
                continue
            row = {"rule": "every layer", "layer": layer, "measure": name, "metric": "mean"}
            yield row | averaged(values, spec["minimum"], spec["seed"])


def _regression(
    spec: Mapping[str, Any], effects: NDArray[np.float64], margins: NDArray[np.float64]
) -> Iterator[Row]:
    """Does the tracing effect tell where an edit succeeds, or does the layer alone?"""
    value = explained(margins, effects)
    rng = np.random.default_rng(spec["seed"])
    n = len(margins)
    drawn = [
        explained(margins, effects, np.bincount(rng.integers(n, size=n), minlength=n).tolist())
        for _ in range(_REGRESSION_DRAWS)
    ]
    for name in ("tracing", "layer", "both"):
        row = {"rule": "every layer", "measure": f"margin explained by {name}", "n": n}
        row |= {"metric": "r_squared"}
        values = [d[name] for d in drawn if name in d]
        if name not in value or not values:
            yield row | {"interval": "not computed: edits achieve the same everywhere"}
            continue
        low, high = np.quantile(values, [0.025, 0.975])
        yield row | {
            "value": value[name], "ci_low": float(low), "ci_high": float(high),
            "interval": _BOOTSTRAP,
        }  # fmt: skip

"""Coincidence rates of one family of pairs on one model, with chance, curve and matched comparison.

Settings: ``model``, ``pairs``, ``ratio`` (rule of knowledge neurons), ``shares`` (of all units, for
the rule that takes the top ones), ``draws``, ``orders``, ``minimum``, ``seed``. Input: ``located``
(all shards). Output: ``part`` of the table `decoupling`.

Pairs count as "known" if the model answers all four prompts. A pair with a prompt that was left out
or that locates nothing is in no number; it is counted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.decoupling import _coincidence as decoupling
from caploc.experiments.decoupling._coincidence import CELLS, EFFECTS, Units
from caploc.experiments.decoupling.table import DECOUPLING
from caploc.files import store
from caploc.files._old_tables import rows as as_table
from caploc.jobs.job import Job
from caploc.measures.averages import Row, not_computed
from caploc.measures.statistics import bootstrap_mean, wilson
from caploc.records import DataError

__all__ = ["run"]

_SMALL = ("pair_id", "part", "form", "correct", "n_answer_tokens", "units")
_NAMES = ("10", "11", "20", "21")
"""Prompts of a pair: part and form."""
_BOOTSTRAP = "bootstrap over pairs, 95 %"
_RATES = {"C12": ("10", "20"), "C11": ("10",), "C22": ("20",)}


@dataclass(slots=True)
class _Located:
    """All prompts of a family.

    Attributes:
        per_layer: units in each layer.
        sets: per pair the located units of each prompt.
        correct: per pair which prompts the model answers.
        tokens: answer tokens of each prompt.
        dropped: prompts left out, by reason.
    """

    per_layer: list[int]
    sets: dict[str, dict[str, Units]] = field(default_factory=dict)
    correct: dict[str, dict[str, bool]] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def usable(self, *, known: bool) -> list[str]:
        """Ids of the pairs whose prompts all located something (and are all answered)."""
        return [
            pair
            for pair, sets in self.sets.items()
            if len(sets) == len(_NAMES)
            and all(len(units) for units in sets.values())
            and (not known or all(self.correct[pair].values()))
        ]

    def n_empty(self) -> int:
        """Prompts that located nothing."""
        return sum(len(units) == 0 for sets in self.sets.values() for units in sets.values())


def run(job: Job) -> None:
    """Measure one family.

    Raises:
        DataError: a damaged file.
    """
    spec = job.spec
    paths = job.inputs["located"]
    located = _read(paths)
    base = {"model": spec["model"], "dataset": spec["pairs"]}
    found = [base | row for row in _counts(located)]
    for group in ("known", "all"):
        chosen = located.usable(known=group == "known")
        named = base | {"pairs": group}
        found.append(named | {"metric": "pairs", "value": len(chosen), "n": len(located.sets)})
        if len(chosen) < spec["minimum"]:
            found += [named | row for row in _missing(spec, len(chosen))]
            continue
        found += [named | row for row in _knowledge_neurons(spec, located, chosen)]
        found += [named | row for row in _matched(spec, located, chosen, group)]
        found += [named | row for row in _top_units(spec, paths, located, set(chosen))]
    store.write_table(as_table(found, DECOUPLING), job.outputs["part"], {"origin": job.origin()})


def _read(paths: Sequence[Path]) -> _Located:
    located = _Located(store.read_metadata(paths[0])["per_layer"])
    for path in paths:
        metadata = store.read_metadata(path)
        if metadata["per_layer"] != located.per_layer:
            raise DataError(
                f"{path}: its grid differs from that of {paths[0]}; delete both and run again"
            )
        located.dropped.update(reason for *_, reason in metadata["dropped"])
        for row in store.read_table(path, _SMALL).select(_SMALL).to_pylist():
            name = row["part"] + row["form"]
            units = np.array(row["units"], dtype=np.int32)
            located.sets.setdefault(row["pair_id"], {})[name] = units
            located.correct.setdefault(row["pair_id"], {})[name] = row["correct"]
            located.tokens.append(row["n_answer_tokens"])
    return located


def _counts(located: _Located) -> Iterator[Row]:
    """What was there, what is answered, what was left out."""
    for name in _NAMES:
        answers = [found[name] for found in located.correct.values() if name in found]
        row = {"comparison": f"part {name[0]}, form {name[1]}", "metric": "accuracy"}
        if not answers:
            yield row | not_computed(0, 1)
            continue
        share = wilson(sum(answers), len(answers))
        ends = {"ci_low": share.low, "ci_high": share.high, "interval": "Wilson 95 %"}
        yield row | {"value": share.value, "n": share.n} | ends
    several = sum(n > 1 for n in located.tokens)
    yield {"metric": "multi_token_answers", "value": several, "n": len(located.tokens)}
    yield {"metric": "empty_sets", "value": located.n_empty(), "n": len(located.tokens)}
    for reason, n in sorted(located.dropped.items()):
        yield {"metric": "dropped", "comparison": "prompt", "interval": reason, "value": n}


def _missing(spec: Mapping[str, Any], n: int) -> Iterator[Row]:
    rule = f"{spec['ratio']:g} x max"
    for comparison in (*_RATES, *CELLS, *EFFECTS):
        named = {"rule": rule, "norm": "size", "comparison": comparison}
        metric = "effect" if comparison in EFFECTS else "coincidence"
        yield named | {"metric": metric} | not_computed(n, spec["minimum"])


def _knowledge_neurons(
    spec: Mapping[str, Any], located: _Located, chosen: Sequence[str]
) -> Iterator[Row]:
    """C12, C11, C22 and the curve of the sets of single prompts, with what chance gives."""
    sets = {name: [located.sets[pair][name] for pair in chosen] for name in _NAMES}
    named = {"rule": f"{spec['ratio']:g} x max", "norm": "size"}
    total = sum(located.per_layer)
    for name in ("10", "20"):
        sizes = [len(units) for units in sets[name]]
        row = {"comparison": f"part {name[0]}", "metric": "located_count", "n": len(sizes)}
        yield named | row | {"value": float(np.mean(sizes))}
    for rate, parts in _RATES.items():
        n_sets = 2 if rate == "C12" else len(chosen)
        row = named | {"comparison": rate, "metric": "coincidence", "n_sets": n_sets}
        yield row | _rate(spec, [sets[part] for part in parts])
        literal = _literal([sets[part] for part in parts], total)
        yield row | {"norm": "LJ"} | _over_pairs(literal, len(chosen), spec["seed"])
        for control, per_layer in (
            ("expected uniform", [total]), ("expected by layer", located.per_layer),
        ):  # fmt: skip
            counts = {p[0]: decoupling.counts_by_layer(sets[p], per_layer) for p in parts}
            chance = _chance(rate, counts, per_layer)
            yield row | {"control": control, "value": chance, "n": len(chosen)}
        yield from _drawn(spec, row, [sets[part] for part in parts], located.per_layer)
    for part in ("1", "2"):
        of_part = sets[part + "0"]
        for m, values in decoupling.curve(
            of_part, _sizes(len(chosen)), spec["orders"], spec["seed"]
        ).items():
            row = {"comparison": f"C{part}{part}", "metric": "curve", "n_sets": m}
            row |= {"value": float(np.mean(values)), "n": len(chosen), "n_draws": len(values)}
            ends = {"ci_low": min(values), "ci_high": max(values)}
            yield named | row | ends | {"interval": f"range over {len(values)} orders"}


def _chance(rate: str, counts: Mapping[str, NDArray[np.int64]], per_layer: Sequence[int]) -> float:
    """Expected rate of random sets, in the size normalisation; counts by part."""
    if rate == "C12":
        return float(np.diag(decoupling.chance_pairs(counts["1"], counts["2"], per_layer)).mean())
    return decoupling.chance_all(counts[rate[1]], per_layer)


def _rate(spec: Mapping[str, Any], groups: list[list[Units]]) -> Row:
    """Two lists: mean over pairs with an interval. One list: what all of its sets share."""
    n = len(groups[0])
    if len(groups) == 2:
        return _over_pairs(decoupling.pair_coincidence(*groups).tolist(), n, spec["seed"])
    return _over_pairs([decoupling.coincidence(groups[0]) or 0.0], n, spec["seed"])


def _over_pairs(values: Sequence[float], n: int, seed: int) -> Row:
    """Mean over pairs with an interval; of one intersection of all sets just its value."""
    if len(values) == 1:
        # A set drawn twice would count once: no bootstrap.
        return {"value": values[0], "n": n, "interval": "no interval: one intersection"}
    found = bootstrap_mean(values, seed=seed)
    ends = {"ci_low": found.low, "ci_high": found.high, "interval": _BOOTSTRAP}
    return {"value": found.value, "n": found.n} | ends


def _literal(groups: list[list[Units]], total: int) -> list[float]:
    if len(groups) == 2:
        return [
            len(np.intersect1d(a, b, assume_unique=True)) / total
            for a, b in zip(*groups, strict=True)
        ]
    common = groups[0][0]
    for units in groups[0][1:]:
        common = np.intersect1d(common, units, assume_unique=True)
    return [len(common) / total]


def _drawn(
    spec: Mapping[str, Any], row: Row, groups: list[list[Units]], per_layer: list[int]
) -> Iterator[Row]:
    """The same rate of random sets of equal size."""
    for control, by_layer in (("random uniform", False), ("random by layer", True)):
        rng = np.random.default_rng([spec["seed"], *row["comparison"].encode(), by_layer])
        values = []
        for _ in range(spec["draws"]):
            drawn = [
                [decoupling.draw_like(units, per_layer, rng, by_layer=by_layer) for units in group]
                for group in groups
            ]
            value = (
                float(decoupling.pair_coincidence(*drawn).mean())
                if len(drawn) == 2
                else decoupling.coincidence(drawn[0])
            )
            values.append(value or 0.0)
        ends: Row = {"ci_low": min(values), "ci_high": max(values), "n_draws": len(values)}
        ends |= {"interval": f"range over {len(values)} draws", "n": len(groups[0])}
        yield row | {"control": control, "value": float(np.mean(values))} | ends


def _sizes(n: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... sets and all of them."""
    return sorted({*(m * 10**e for e in range(6) for m in (1, 2, 5) if m * 10**e < n), n})


def _matched(
    spec: Mapping[str, Any], located: _Located, chosen: Sequence[str], group: str
) -> Iterator[Row]:
    """The matched comparison and its two effects, with what layers alone would give."""
    sets = {name: [located.sets[pair][name] for pair in chosen] for name in _NAMES}
    grids = decoupling.compact(sets)
    keys = [("10", "11"), ("20", "21"), *((a, b) for a in ("10", "11") for b in ("20", "21"))]
    table = decoupling.matched({(a, b): decoupling.two_way(grids[a], grids[b]) for a, b in keys})
    counts = {k: decoupling.counts_by_layer(v, located.per_layer) for k, v in sets.items()}
    chance = decoupling.matched(
        {(a, b): decoupling.chance_pairs(counts[a], counts[b], located.per_layer) for a, b in keys}
    )
    named: Row = {"rule": f"{spec['ratio']:g} x max", "norm": "size"}
    named |= {"n": len(chosen), "n_sets": 2}
    values, ends = (
        decoupling.effects(table), decoupling.bootstrap_effects(table, seed=spec["seed"]),
    )  # fmt: skip
    expected = decoupling.effects(chance)
    for name in (*CELLS, *EFFECTS):
        is_effect = name in EFFECTS
        row = named | {"comparison": name, "metric": "effect" if is_effect else "coincidence"}
        low, high = ends[name]
        primary = group == "known" and is_effect and name != "interaction"
        yield row | {
            "value": values[name], "ci_low": low, "ci_high": high,
            "interval": _BOOTSTRAP, "role": "primary" if primary else "",
        }  # fmt: skip
        yield row | {"control": "expected by layer", "value": expected[name]}


def _top_units(
    spec: Mapping[str, Any], paths: Sequence[Path], located: _Located, chosen: set[str]
) -> Iterator[Row]:
    """The literal reading: the top s % of all units by score, common units over all units."""
    total = sum(located.per_layer)
    starts = np.cumsum([0, *located.per_layer[:-1]])
    for share in spec["shares"]:
        size = max(1, round(share * total))
        both: list[float] = []
        common: dict[str, NDArray[np.bool_]] = {}
        counts: dict[str, list[NDArray[np.int64]]] = {"1": [], "2": []}
        sets: dict[str, dict[str, NDArray[np.bool_]]] = {}
        for pair, part, scores in _scores(paths, chosen):
            top = np.zeros(total, dtype=np.bool_)
            top[np.argsort(-scores, kind="stable")[:size]] = True
            common[part] = common[part] & top if part in common else top.copy()
            counts[part].append(np.add.reduceat(top, starts, dtype=np.int64))
            sets.setdefault(pair, {})[part] = top
            if len(sets[pair]) == 2:
                a, b = sets.pop(pair).values()
                both.append(np.count_nonzero(a & b) / total)
        named = {"rule": f"top {100 * share:g} %", "metric": "coincidence"}
        by_layer = {part: np.array(found) for part, found in counts.items()}
        for rate in _RATES:
            part = rate[1]
            found = both if rate == "C12" else [np.count_nonzero(common[part]) / total]
            row = named | {"comparison": rate, "n_sets": 2 if rate == "C12" else len(both)}
            chance = {
                "expected uniform": _chance(rate, {k: v.sum(1, keepdims=True) for k, v in
                                                   by_layer.items()}, [total]),
                "expected by layer": _chance(rate, by_layer, located.per_layer),
            }  # fmt: skip
            for norm, unit in (("LJ", 1.0), ("size", total / size)):
                values = [value * unit for value in found]
                yield row | {"norm": norm} | _over_pairs(values, len(both), spec["seed"])
                for control, value in chance.items():
                    expected = value * unit * size / total
                    yield row | {
                        "norm": norm,
                        "control": control,
                        "value": expected,
                        "n": len(both),
                    }


def _scores(
    paths: Sequence[Path], chosen: set[str]
) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    """(pair, part, (unit,) scores) of the first form, in the order of the files."""
    columns = ["pair_id", "part", "scores"]
    for path in paths:
        with store.open_parquet(path, columns) as file:
            for batch in file.iter_batches(1, columns=columns):
                (scores,) = batch["scores"]
                pair = batch["pair_id"][0].as_py()
                if scores.is_valid and pair in chosen:
                    yield pair, batch["part"][0].as_py(), scores.values.to_numpy()

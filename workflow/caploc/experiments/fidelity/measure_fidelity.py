"""How far the located sets of a fact and of its rewrites agree, by one locator, beside controls.

Settings: ``model``, ``facts`` (id), ``locator``, ``rewrites`` (most of each kind), ``partners``,
``n_draws``, ``minimum`` (facts; fewer are not averaged), ``seed``; for locators of neurons
``ratio`` and ``masks`` (rules of averaged scores); for ``kn`` ``share`` (refinement over prompts).
Inputs: ``prompts``, ``located`` (all shards). Output: ``part`` of the table `fidelity`.

Rows with a fact hold the value of that fact, the others means over facts with bootstrap intervals.
``facts`` is "known" (the model completes both prompts correctly) or "all".
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.fidelity._comparisons import (
    CONTROLS,
    METRICS,
    FactSets,
    Pair,
    compare,
    grow,
)
from caploc.experiments.fidelity.table import FIDELITY
from caploc.files import store
from caploc.files._old_tables import rows as as_table
from caploc.files.located import Located, read_located, stream_scores
from caploc.jobs.job import Job
from caploc.measures.averages import Row, averaged, not_computed
from caploc.measures.knowledge_neurons import LEAST_PROMPTS, refine, select
from caploc.measures.masks import outliers, rule_of
from caploc.measures.statistics import bootstrap_mean

__all__ = ["run"]

_COLUMNS = ("fact_id", "relation", "object", "prompt_id", "kind", "rank", "prompt", "correct")
_REWRITES = ("template", "paraphrase", "own")


def run(job: Job) -> None:
    """Measure one locator on one model and set of facts.

    Raises:
        DataError: a damaged file.
    """
    spec = job.spec
    prompts = store.read_table(job.input("prompts"), _COLUMNS).to_pylist()
    about = store.read_metadata(job.input("prompts"))
    located = read_located(job.inputs["located"])
    base = {"model": spec["model"], "dataset": spec["facts"], "locator": spec["locator"]}
    base |= {"unit": located.unit}
    found: list[Row] = [base | row for row in _counts(prompts, located, about)]
    for kind in _REWRITES:
        named = {"rewrite": kind}
        if kind == "own" and about["own_not_available"]:
            reason = f"not available for this model: {about['own_not_available']}"
            found.append(base | named | {"metric": "overlap", "interval": reason, "n": 0})
            continue
        if not any(row["kind"] == kind for row in prompts):
            continue
        for rule in located.rules:
            found += [base | named | row for row in _rule(spec, prompts, located, kind, rule)]
        if located.unit == "ffn neuron":
            scores = partial(stream_scores, job.inputs["located"])
            found += [base | named | row for row in _grown(spec, prompts, located, kind, scores)]
    if "share" in spec and located.rules:
        found += [base | row for row in _refined(spec, prompts, located)]
    store.write_table(as_table(found, FIDELITY), job.outputs["part"], {"origin": job.origin()})


def _counts(prompts: list[Row], located: Located, about: Mapping[str, Any]) -> Iterator[Row]:
    """What was there and what was left out, with the reasons."""
    facts = about["facts"]
    yield {"metric": "facts", "facts": "all", "value": about["n_facts"], "n": about["n_facts"]}
    yield {"metric": "facts", "facts": "known", "value": about["n_known"], "n": about["n_facts"]}
    dropped = {("fact", k): n for k, n in facts["dropped"].items()}
    dropped |= {("rewrite", k): n for k, n in facts["rewrites_dropped"].items()}
    dropped |= {("own rewrite", k): n for k, n in about["own_dropped"].items()}
    kinds = {(row["fact_id"], row["prompt_id"]): row["kind"] for row in prompts}
    for fact_id, prompt_id, reason in located.dropped:
        key = (f"prompt, {kinds[fact_id, prompt_id]}", reason)
        dropped[key] = dropped.get(key, 0) + 1
    with_rewrite = {row["fact_id"] for row in prompts if row["kind"] != "original"}
    alone = len({row["fact_id"] for row in prompts} - with_rewrite)
    if alone:
        dropped["fact", "no rewrite of any kind"] = alone
    for (what, reason), n in sorted(dropped.items()):
        yield {"metric": "dropped", "comparison": what, "interval": reason, "value": n}


def _rule(
    spec: Mapping[str, Any], prompts: list[Row], located: Located, kind: str, rule: str
) -> Iterator[Row]:
    """Comparisons of one rule and kind of rewrite, for known and for all facts."""
    for group in ("known", "all"):
        facts = _facts(spec, prompts, located, kind, rule, known=group == "known")
        named = {"rule": rule, "averaged_facts": 1, "facts": group}
        sizes = [int(np.count_nonzero(f.original)) for f in facts if f.original is not None]
        if sizes:
            share = float(np.mean(sizes)) / float(located.per_layer.sum())
            yield named | {
                "metric": "located_count",
                "value": float(np.mean(sizes)),
                "n": len(sizes),
            }
            yield named | {"metric": "located_share", "value": share, "n": len(sizes)}
        pairs = compare(
            facts, located.per_layer.tolist(), partners=spec["partners"], n_draws=spec["n_draws"],
            seed=spec["seed"],
        )  # fmt: skip
        for comparison, of_facts in pairs.items():
            draws = spec["n_draws"] if comparison.startswith("random") else None
            for row in _comparison(spec, comparison, of_facts, pairs["rewrite"]):
                role = "primary" if _is_primary(group, comparison, row, located, rule) else ""
                yield named | {"comparison": comparison, "n_draws": draws, "role": role} | row


def _is_primary(group: str, comparison: str, row: Row, located: Located, rule: str) -> bool:
    headline = group == "known" and rule == located.rules[0] and not row.get("fact")
    return headline and comparison == "same relation" and row["metric"] == "rewrite_minus_overlap"


def _facts(
    spec: Mapping[str, Any],
    prompts: list[Row],
    located: Located,
    kind: str,
    rule: str,
    *,
    known: bool,
) -> list[FactSets]:
    """Sets of every fact; of the known ones only prompts that the model completes correctly."""
    facts: dict[str, FactSets] = {}
    for row in prompts:
        if row["kind"] not in ("original", kind) or row["rank"] >= spec["rewrites"]:
            continue
        if known and not row["correct"]:
            continue
        grid = located.grid(rule, row["fact_id"], row["prompt_id"])
        if row["kind"] == "original":
            facts[row["fact_id"]] = FactSets(row["fact_id"], row["relation"], row["object"], grid)
        elif grid is not None and row["fact_id"] in facts:
            facts[row["fact_id"]].rewrites.append(grid)
    return list(facts.values())


def _comparison(
    spec: Mapping[str, Any],
    comparison: str,
    of_facts: Mapping[str, Pair],
    rewrite: Mapping[str, Pair],
) -> Iterator[Row]:
    """Means over facts, differences from the rewrites, and the values of single facts."""
    if not of_facts and comparison != "rewrite":
        return
    empty = {
        "value": sum(p.n_empty for p in of_facts.values()),
        "n": sum(p.n_pairs for p in of_facts.values()),
    }
    yield {"metric": "empty_pairs"} | empty
    for metric in METRICS:
        values = {name: p.values[metric] for name, p in of_facts.items() if p.values}
        yield {"metric": metric} | averaged(list(values.values()), spec["minimum"], spec["seed"])
        if comparison in CONTROLS:
            both = [
                rewrite[name].values[metric] - value
                for name, value in values.items()
                if name in rewrite and rewrite[name].values
            ]
            name = f"rewrite_minus_{metric}"
            yield {"metric": name} | averaged(both, spec["minimum"], spec["seed"])
        for name, value in values.items():
            yield {"metric": metric, "fact": name, "value": value, "n": 1}


def _grown(
    spec: Mapping[str, Any], prompts: list[Row], located: Located, kind: str, scores: Any
) -> Iterator[Row]:
    """One fact against the mean over n facts, by the rule of single prompts and by mask rules."""
    for group in ("known", "all"):
        chosen = _first_rewrites(spec, prompts, located, kind, known=group == "known")
        named = {"facts": group}
        if len(chosen) < spec["minimum"]:
            reason = not_computed(len(chosen), spec["minimum"])
            yield named | {"comparison": "rewrite", "metric": "grown_overlap"} | reason
            continue
        shape = (len(located.per_layer), -1)
        rules = {located.rules[0]: partial(select, ratio=spec["ratio"])}
        rules |= {
            f"mask {name}": partial(outliers, **rule_of(m)) for name, m in spec["masks"].items()
        }
        stream = _pairs_of(scores(), chosen, shape)
        found = grow(stream, _sizes(len(chosen)), rules)
        for (n, rule, comparison), groups in found.items():
            # With a single group there are no other facts to compare it with.
            for metric in METRICS if groups else ():
                row = {"rule": rule, "averaged_facts": n, "comparison": comparison}
                values = [value for g in groups if (value := g[metric]) is not None]
                yield named | row | {"metric": f"grown_{metric}"} | _over_groups(spec, values)


def _over_groups(spec: Mapping[str, Any], values: list[float]) -> Row:
    """Mean over groups of facts; few groups have a range, many a bootstrap interval."""
    row: Row = {"n": len(values)}
    if not values:
        return row | {"interval": "empty sets"}
    row |= {"value": float(np.mean(values)), "interval": "one group"}
    if len(values) >= spec["minimum"]:
        found = bootstrap_mean(values, seed=spec["seed"])
        row |= {"ci_low": found.low, "ci_high": found.high}
        row |= {"interval": "bootstrap over groups, 95 %"}
    elif len(values) > 1:
        row |= {"ci_low": min(values), "ci_high": max(values)}
        row |= {"interval": f"range over {len(values)} groups"}
    return row


def _first_rewrites(
    spec: Mapping[str, Any], prompts: list[Row], located: Located, kind: str, *, known: bool
) -> dict[str, int]:
    """Prompt of the first usable rewrite of every fact whose original is usable too."""
    rule = located.rules[0] if located.rules else ""
    usable = {
        (row["fact_id"], row["prompt_id"]): row
        for row in prompts
        if (rule, row["fact_id"], row["prompt_id"]) in located.units
        and (row["correct"] or not known)
    }
    chosen: dict[str, int] = {}
    for (fact_id, prompt_id), row in usable.items():
        wanted = row["kind"] == kind and row["rank"] < spec["rewrites"]
        if wanted and (fact_id, 0) in usable:
            chosen.setdefault(fact_id, prompt_id)
    return chosen


def _pairs_of(
    scores: Iterator[tuple[str, int, NDArray[np.float32]]],
    chosen: Mapping[str, int],
    shape: tuple[int, int],
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Scores of original and rewrite of each chosen fact; the prompts of a fact stand together."""
    original: dict[str, NDArray[np.float32]] = {}
    for fact_id, prompt_id, values in scores:
        if prompt_id == 0:
            original = {fact_id: values.reshape(shape)}
        elif chosen.get(fact_id) == prompt_id:
            yield {"original": original[fact_id], "rewrite": values.reshape(shape)}


def _sizes(n: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... facts, half of them (two groups), and all."""
    steps = [m * 10**e for e in range(6) for m in (1, 2, 5)]
    return sorted({*(s for s in steps if s < n // 2), max(1, n // 2), n})


def _refined(spec: Mapping[str, Any], prompts: list[Row], located: Located) -> Iterator[Row]:
    """Neurons that the prompts of a fact agree on, compared between facts."""
    rule = located.rules[0]
    by_fact: dict[str, list[Row]] = {}
    for row in prompts:
        if (rule, row["fact_id"], row["prompt_id"]) in located.units:
            by_fact.setdefault(row["fact_id"], []).append(row)
    sets = [[_grid(located, rule, row) for row in of_fact] for of_fact in by_fact.values()]
    refined = refine(sets, spec["share"])
    named = {"rule": f"refined over prompts, share {refined.share:.2f}", "averaged_facts": 1}
    named |= {"facts": "all"}
    n = sum(grid is not None for grid in refined.located)
    if n < spec["minimum"]:
        reason = (
            f"facts with {LEAST_PROMPTS} prompts: {not_computed(n, spec['minimum'])['interval']}"
        )
        yield named | {"metric": "located_count", "interval": reason, "n": n}
        return
    yield named | {"metric": "located_count", "value": refined.mean_count, "n": n}
    empty = sum(grid is not None and not grid.any() for grid in refined.located)
    yield named | {"metric": "empty_sets", "value": empty, "n": n}
    facts = [
        FactSets(rows[0]["fact_id"], rows[0]["relation"], rows[0]["object"], grid, [grid])
        for rows, grid in zip(by_fact.values(), refined.located, strict=True)
        if grid is not None
    ]
    # A fact compared with itself is 1 by construction; other facts say whether the set is its own.
    found = compare(
        facts, located.per_layer.tolist(), partners=spec["partners"], n_draws=1, seed=spec["seed"]
    )
    for comparison in ("same answer", "same relation", "other relation"):
        for row in _comparison(spec, comparison, found[comparison], {}):
            if not row.get("fact") and not row["metric"].startswith("rewrite_minus"):
                yield named | {"comparison": comparison} | row


def _grid(located: Located, rule: str, row: Row) -> NDArray[np.bool_]:
    grid = located.grid(rule, row["fact_id"], row["prompt_id"])
    assert grid is not None
    return grid

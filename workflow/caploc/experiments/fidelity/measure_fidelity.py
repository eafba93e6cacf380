"""How far the located sets of a fact and of its rewrites agree, by one locator, beside controls.

Settings: `MeasureFidelity`. Inputs: ``prompts``, ``located`` (all shards). Output: ``part`` of the
table `fidelity`.

Rows with a fact hold the value of that fact, the others means over facts with bootstrap intervals.
``facts`` is "known" (the model completes both prompts correctly) or "all".
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.fidelity._comparisons import FactSets, compare, grow
from caploc.experiments.fidelity._means import located_size, of_facts, over_groups
from caploc.experiments.fidelity.settings import MeasureFidelity
from caploc.experiments.fidelity.table import FIDELITY
from caploc.files import store, tables
from caploc.files.located import Located, read_located, stream_scores
from caploc.files.tables import COUNT, TEXT, Schema, texts
from caploc.jobs.job import Job
from caploc.measures.knowledge_neurons import LEAST_PROMPTS, refine, select
from caploc.measures.masks import outliers, rule_of
from caploc.measures.means import default_curve
from caploc.measures.summaries import exact, named, not_computed

__all__ = ["run"]

_KEYS: Schema = {"fact_id": TEXT, "prompt_id": pl.Int16()}
_PROMPTS: Schema = {
    **_KEYS, **texts("relation", "object", "kind"), "rank": pl.Int16(), "correct": pl.Boolean(),
}  # fmt: skip
Grid = NDArray[np.float32]
Scores = Iterator[tuple[str, int, Grid]]
_REWRITES = ("template", "paraphrase", "own")


def run(job: Job) -> None:
    """Measure one locator on one model and set of facts.

    Raises:
        DataError: a damaged file.
    """
    told = job.told(MeasureFidelity)
    prompts = tables.read(job.input("prompts"), _PROMPTS)
    about = store.read_metadata(job.input("prompts"))
    located = read_located(job.inputs["located"])
    found = [*_counts(prompts, located, about)]
    groups = (("known", prompts.filter("correct")), ("all", prompts))
    for kind in _REWRITES:
        rows = []
        if kind == "own" and about["own_not_available"]:
            reason = f"not available for this model: {about['own_not_available']}"
            rows.append(exact(None, 0, metric="overlap", interval=reason))
        elif kind in prompts["kind"]:
            for group, asked in groups:
                own = [*_compared(told, asked, located, kind)]
                if located.unit == "ffn neuron":
                    scores = stream_scores(job.inputs["located"])
                    own += _grown(told, asked, located, kind, scores)
                rows += [named(frame, facts=group) for frame in own]
        found += [named(frame, rewrite=kind) for frame in rows]
    if told.share is not None and located.rules:
        found += [named(frame, facts="all") for frame in _refined(told, prompts, located)]
    ids = {"model": told.model, "dataset": told.facts, "locator": told.locator}
    table = named(tables.gathered(found, FIDELITY), **ids, unit=located.unit)
    first = {"facts": "known", "rule": (*located.rules, "")[0], "fact": ""}
    first |= {"comparison": "same relation", "metric": "rewrite_minus_overlap"}
    drawn = pl.col("comparison").str.starts_with("random")
    table = table.with_columns(
        n_draws=pl.when(drawn).then(pl.lit(told.n_draws, COUNT)),
        role=pl.when(**first).then(pl.lit("primary")).otherwise(pl.lit("")),
    )
    tables.write_part(table, job.outputs["part"], job.origin())


def _counts(
    prompts: pl.DataFrame, located: Located, about: Mapping[str, Any]
) -> Iterator[pl.DataFrame]:
    """What was there and what was left out, with the reasons."""
    for group, n in (("all", about["n_facts"]), ("known", about["n_known"])):
        yield exact(n, about["n_facts"], metric="facts", facts=group)
    kinds = {(row[0], row[1]): row[2] for row in prompts.select(*_KEYS, "kind").iter_rows()}
    dropped = Counter(
        (f"prompt, {kinds[fact, prompt]}", reason) for fact, prompt, reason in located.dropped
    )
    for what, reasons in (
        ("fact", about["facts"]["dropped"]), ("rewrite", about["facts"]["rewrites_dropped"]),
        ("own rewrite", about["own_dropped"]),
    ):  # fmt: skip
        dropped.update({(what, reason): n for reason, n in reasons.items()})
    if alone := prompts.group_by("fact_id").agg((pl.col("kind") == "original").all())["kind"].sum():
        dropped["fact", "no rewrite of any kind"] = int(alone)
    rows = [(*why, n) for why, n in dropped.items()]
    yield named(pl.DataFrame(rows, ["comparison", "interval", "value"], orient="row"),
                metric="dropped")  # fmt: skip


def _compared(
    told: MeasureFidelity, asked: pl.DataFrame, located: Located, kind: str
) -> Iterator[pl.DataFrame]:
    """Comparisons of one kind of rewrite by every rule."""
    for rule in located.rules:
        facts = _facts(told, asked, located, kind, rule)
        pairs = compare(facts, located.per_layer.tolist(), told)
        # Where no fact has a rewrite, the table says so.
        none = pl.DataFrame({"comparison": ["rewrite"], "n_pairs": [0], "n_empty": [0]})
        pairs = pl.concat([pairs, none], how="diagonal_relaxed")
        for frame in (*located_size(facts), *of_facts(pairs, told)):
            yield named(frame, rule=rule, averaged_facts=1)


def _facts(
    told: MeasureFidelity, asked: pl.DataFrame, located: Located, kind: str, rule: str
) -> list[FactSets]:
    """Sets of every fact whose original prompt is located."""
    facts: dict[str, FactSets] = {}
    chosen = pl.col("kind").is_in(["original", kind]) & (pl.col("rank") < told.rewrites)
    for row in asked.filter(chosen).iter_rows(named=True):
        fact, grid = row["fact_id"], located.grid(rule, row["fact_id"], row["prompt_id"])
        if grid is None:
            continue
        if row["kind"] == "original":
            facts[fact] = FactSets(fact, row["relation"], row["object"], grid)
        elif fact in facts:
            facts[fact].rewrites.append(grid)
    return list(facts.values())


def _grown(
    told: MeasureFidelity, asked: pl.DataFrame, located: Located, kind: str, scores: Scores
) -> list[pl.DataFrame]:
    """One fact against the mean over n facts, by the rule of single prompts and by mask rules."""
    keys = [key for rule, *key in located.units if rule == located.rules[0]]
    found = pl.DataFrame(keys, _KEYS, orient="row")
    usable = asked.join(found, on=list(_KEYS), how="semi", maintain_order="left")
    rewrites = usable.filter(pl.col("rank") < told.rewrites, kind=kind)
    originals = usable.filter(prompt_id=0)
    chosen = rewrites.join(originals, on="fact_id", how="semi", maintain_order="left")
    first = dict(chosen.unique("fact_id", keep="first").select(*_KEYS).iter_rows())
    if len(first) < told.minimum:
        reason = not_computed(len(first), told.minimum)
        about = {"comparison": "rewrite", "metric": "grown_overlap", "interval": reason}
        return [exact(None, len(first), **about)]
    rules: dict[str, Any] = {
        f"mask {name}": partial(outliers, **rule_of(mask)) for name, mask in told.masks.items()
    }
    if told.ratio is not None:
        rules[located.rules[0]] = partial(select, ratio=told.ratio)
    stream = _pairs_of(scores, first, len(located.per_layer))
    # Half of the facts are two groups.
    sizes = sorted({*default_curve(max(1, len(first) // 2)), len(first)})
    return over_groups(grow(stream, sizes, rules), told)


def _pairs_of(scores: Scores, chosen: Mapping[str, int], n_layers: int) -> Iterator[Grid]:
    """Scores of original and rewrite of each chosen fact; the prompts of a fact stand together."""
    original = np.zeros(0, np.float32)
    for fact_id, prompt_id, values in scores:
        if prompt_id == 0:
            original = values
        elif chosen.get(fact_id) == prompt_id:
            yield np.stack([original, values]).reshape(2, n_layers, -1)


def _refined(
    told: MeasureFidelity, prompts: pl.DataFrame, located: Located
) -> Iterator[pl.DataFrame]:
    """Neurons that the prompts of a fact agree on, compared between facts."""
    assert told.share is not None
    by_fact: dict[tuple[str, str, str], list[NDArray[np.bool_]]] = {}
    for *about, prompt in prompts.select("fact_id", "relation", "object", "prompt_id").iter_rows():
        if (grid := located.grid(located.rules[0], about[0], prompt)) is not None:
            by_fact.setdefault((about[0], about[1], about[2]), []).append(grid)
    refined = refine([*by_fact.values()], told.share)
    rule = f"refined over prompts, share {refined.share:.2f}"
    found = [
        FactSets(*about, grid, [grid])
        for about, grid in zip(by_fact, refined.located, strict=True)
        if grid is not None
    ]
    if len(found) < told.minimum:
        reason = f"facts with {LEAST_PROMPTS} prompts: {not_computed(len(found), told.minimum)}"
        rows = [exact(None, len(found), metric="located_count", interval=reason)]
    else:
        empty = sum(not fact.original.any() for fact in found)
        pairs = compare(found, located.per_layer.tolist(), replace(told, n_draws=0))
        # A fact compared with itself is 1 by construction; other facts say whether the set is its
        # own.
        others = ["same answer", "same relation", "other relation"]
        pairs = pairs.filter(pl.col("comparison").is_in(others))
        counts, means, *_ = of_facts(pairs, told)
        rows = [
            exact(refined.mean_count, len(found), metric="located_count"),
            exact(empty, len(found), metric="empty_sets"), counts, means,
        ]  # fmt: skip
    yield from (named(frame, rule=rule, averaged_facts=1) for frame in rows)

"""Do rewrites of a prompt locate the same units? Overlaps of facts, and what to compare them with.

For every fact the set of its original prompt is compared with the set of a rewrite, and with

    same answer       a rewrite about another subject, same relation, same object
    same relation     a rewrite about another subject, same relation, another object
    same wording      the original prompt of such a fact: other fact, (nearly) the same words
    other relation    a rewrite of a fact of another relation
    random uniform    as many units as the original located, drawn from all units
    random by layer   as many units in every layer as the original located

A fact has one value per comparison, the mean over its pairs; facts are what is resampled. A pair
with an empty set has no value: it is counted.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.measures import agreement
from caploc.measures.random_sets import draw_like

__all__ = [
    "COMPARISONS",
    "CONTROLS",
    "FactSets",
    "Pair",
    "compare",
    "grow",
]

Grid = NDArray[np.bool_]

CONTROLS = (
    "same answer", "same relation", "same wording", "other relation", "random uniform",
    "random by layer",
)  # fmt: skip
COMPARISONS = ("rewrite", *CONTROLS)
METRICS = {"overlap": agreement.overlap, "iou": agreement.iou}


@dataclass(frozen=True, slots=True)
class FactSets:
    """What the prompts of one fact locate by one rule.

    Attributes:
        fact_id: of the fact.
        relation: of the fact.
        object: of the fact.
        original: (unit,) located by the original prompt; None if it was left out.
        rewrites: (unit,) located by each rewrite of one kind that was not left out.
    """

    fact_id: str
    relation: str
    object: str
    original: Grid | None
    rewrites: list[Grid] = field(default_factory=list)


@dataclass(slots=True)
class Pair:
    """Values of one fact in one comparison.

    Attributes:
        values: mean over the pairs that have a value, by metric; empty without any.
        n_pairs: pairs that were compared.
        n_empty: of these, pairs in which a set is empty.
    """

    values: dict[str, float]
    n_pairs: int
    n_empty: int


def compare(
    facts: Sequence[FactSets],
    per_layer: Sequence[int],
    *,
    partners: int,
    n_draws: int,
    seed: int,
) -> dict[str, dict[str, Pair]]:
    """Compare every fact with its rewrites and with the controls.

    Args:
        facts: of one rule and one kind of rewrite.
        per_layer: units in each layer; a layer of one unit (the unit is the layer) has no draws of
            its own, so "random by layer" is left out there.
        partners: most other facts that each control of facts takes, drawn at random.
        n_draws: random sets that each pair (original, rewrite) is compared with.
        seed: of partners and draws; those of a fact depend on nothing but the seed and its id.

    Returns:
        {comparison: {fact_id: values}}; a fact stands where it has at least one pair.
    """
    usable = [fact for fact in facts if fact.original is not None and fact.rewrites]
    result: dict[str, dict[str, Pair]] = {name: {} for name in COMPARISONS}
    for fact in usable:
        assert fact.original is not None
        rng = random.Random(f"partners {seed} {fact.fact_id}")
        draws = np.random.default_rng([seed, *fact.fact_id.encode()])
        for name in COMPARISONS:
            pairs: Iterator[tuple[Grid, Grid]]
            if name == "rewrite":
                pairs = ((fact.original, rewrite) for rewrite in fact.rewrites)
            elif name == "random uniform":
                pairs = _drawn(
                    fact, n_draws, partial(draw_like, sizes=[fact.original.size], rng=draws)
                )
            elif name == "random by layer":
                if max(per_layer, default=1) == 1:
                    continue
                by_layer = partial(draw_like, sizes=per_layer, rng=draws)
                pairs = _drawn(fact, n_draws, by_layer)
            else:
                chosen = [f for f in usable if _is_partner(name, fact, f)]
                chosen = rng.sample(chosen, min(partners, len(chosen)))
                pairs = _with_partners(name, fact.original, chosen)
            found = _measured(pairs)
            if found.n_pairs:
                result[name][fact.fact_id] = found
    return result


def _is_partner(control: str, fact: FactSets, other: FactSets) -> bool:
    if other.fact_id == fact.fact_id:
        return False
    same = other.relation == fact.relation
    if control == "other relation":
        return not same
    return same and (other.object == fact.object) == (control == "same answer")


def _with_partners(
    control: str, original: Grid, chosen: Sequence[FactSets]
) -> Iterator[tuple[Grid, Grid]]:
    for other in chosen:
        assert other.original is not None
        yield original, other.original if control == "same wording" else other.rewrites[0]


def _drawn(
    fact: FactSets, n_draws: int, draw: Callable[[Grid], Grid]
) -> Iterator[tuple[Grid, Grid]]:
    assert fact.original is not None
    for rewrite in fact.rewrites:
        for _ in range(n_draws):
            yield draw(fact.original), rewrite


def _measured(pairs: Iterator[tuple[Grid, Grid]]) -> Pair:
    sums = dict.fromkeys(METRICS, 0.0)
    n_pairs = n_empty = 0
    for a, b in pairs:
        n_pairs += 1
        if not a.any() or not b.any():
            n_empty += 1
            continue
        for name, measure in METRICS.items():
            sums[name] += measure(a, b) or 0.0
    n = n_pairs - n_empty
    return Pair({name: total / n for name, total in sums.items()} if n else {}, n_pairs, n_empty)


def grow(
    scores: Iterable[Mapping[str, NDArray[np.floating]]],
    sizes: Sequence[int],
    rules: Mapping[str, Callable[[NDArray[np.float64]], Grid]],
) -> dict[tuple[int, str, str], list[dict[str, float | None]]]:
    """Average scores over more and more facts, and compare originals with rewrites.

    Groups of n facts are disjoint and follow the order given; a rest is left out. One running sum
    for each size is held, whatever the number of facts.

    Args:
        scores: per fact the scores of its ``original`` and its ``rewrite``, any shape.
        sizes: facts in a group, each >= 1.
        rules: from mean scores to a located set, by name.

    Returns:
        {(n, rule, comparison): per group its values by metric}; a value is None where the overlap
        of empty sets is not defined. Comparisons: ``rewrite`` (the same facts) and ``other facts``
        (the originals of a group with the rewrites of the next one).
    """
    result: dict[tuple[int, str, str], list[dict[str, float | None]]] = {
        (n, rule, comparison): []
        for n in sizes
        for rule in rules
        for comparison in ("rewrite", "other facts")
    }
    sums: dict[int, dict[str, Any]] = {n: {"original": 0.0, "rewrite": 0.0} for n in sizes}
    previous: dict[tuple[int, str], Grid] = {}
    for count, of_fact in enumerate(scores, start=1):
        for n in sizes:
            for role, total in sums[n].items():
                sums[n][role] = total + of_fact[role].astype(np.float64)
            if count % n:
                continue
            for name, rule in rules.items():
                original, rewrite = (rule(sums[n][role] / n) for role in ("original", "rewrite"))
                result[n, name, "rewrite"].append(_values(original, rewrite))
                if (n, name) in previous:
                    result[n, name, "other facts"].append(_values(previous[n, name], rewrite))
                previous[n, name] = original
            sums[n] = {"original": 0.0, "rewrite": 0.0}
    return result


def _values(a: Grid, b: Grid) -> dict[str, float | None]:
    return {name: measure(a, b) for name, measure in METRICS.items()}

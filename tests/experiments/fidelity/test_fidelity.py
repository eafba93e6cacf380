"""Comparisons of facts against sets of names, one pair at a time."""

import random
from itertools import pairwise

import numpy as np
import pytest

from caploc.experiments.fidelity import _comparisons as fidelity
from caploc.experiments.fidelity._comparisons import (
    FactSets,
    compare,
    grow,
)
from caploc.experiments.fidelity.settings import Compared

PER_LAYER = [5, 7, 4]
SIZE = sum(PER_LAYER)


def grid(*units):
    return np.isin(np.arange(SIZE), units)


def names(mask):
    return {i for i in range(SIZE) if mask[i]}


def slow(a, b):
    a, b = names(a), names(b)
    if not a or not b:
        return None
    return (len(a & b) / len(a) + len(a & b) / len(b)) / 2, len(a & b) / len(a | b)


def facts(n=12, empty=()):
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        sets = [rng.random(SIZE) < 0.3 for _ in range(3)]
        sets = [grid() if i in empty else s | grid(i) for s in sets]
        found.append(FactSets(f"f{i}", f"r{i % 3}", f"o{i % 2}", sets[0], sets[1:]))
    return found


def run(found, per_layer=PER_LAYER, **changes):
    """{comparison: {fact: its row}}"""
    told = {"partners": 99, "n_draws": 3, "seed": 0} | changes
    table = compare(found, per_layer, Compared(minimum=2, model="m", **told))
    return {
        name: {row["fact"]: row for row in table.filter(comparison=name).to_dicts()}
        for name in fidelity.COMPARISONS
    }


def test_rewrites_are_averaged_within_a_fact():
    found = facts()
    result = run(found)["rewrite"]
    for fact in found:
        pairs = [slow(fact.original, rewrite) for rewrite in fact.rewrites]
        values = result[fact.fact_id]
        assert values["overlap"] == pytest.approx(np.mean([p[0] for p in pairs]))
        assert values["iou"] == pytest.approx(np.mean([p[1] for p in pairs]))


@pytest.mark.parametrize(
    ("comparison", "wanted", "other_set"),
    [
        ("same answer", (True, True), "rewrite"),
        ("same relation", (True, False), "rewrite"),
        ("same wording", (True, False), "original"),
        ("other relation", (False, None), "rewrite"),
    ],
)
def test_partners_are_those_the_control_names(comparison, wanted, other_set):
    def is_wanted(f, g):
        same = f.relation == g.relation, f.object == g.object
        return same[0] == wanted[0] and wanted[1] in (None, same[1])

    found = facts()
    result = run(found)[comparison]
    for fact in found:
        partners = [g for g in found if g is not fact and is_wanted(fact, g)]
        assert partners
        sets = [g.original if other_set == "original" else g.rewrites[0] for g in partners]
        values = [slow(fact.original, s)[0] for s in sets]
        assert result[fact.fact_id]["overlap"] == pytest.approx(np.mean(values))
        assert result[fact.fact_id]["n_pairs"] == len(partners)


def test_the_number_of_partners_is_bounded_and_their_choice_is_of_the_fact_alone():
    found = facts()
    few = run(found, partners=2)["other relation"]
    assert all(pair["n_pairs"] == 2 for pair in few.values())
    shuffled = run(random.Random(1).sample(found, len(found)), partners=2)["rewrite"]
    assert shuffled == run(found, partners=2)["rewrite"]


def test_random_sets_lie_where_chance_puts_them():
    found = facts(4)
    result = run(found, n_draws=800)
    for fact in found:
        a = names(fact.original)
        for name, groups in (
            ("random uniform", [range(SIZE)]),
            ("random by layer", [range(5), range(5, 12), range(12, 16)]),
        ):
            expected = []
            for rewrite in fact.rewrites:
                b = names(rewrite)
                common = sum(len(a & set(g)) * len(b & set(g)) / len(g) for g in groups)
                expected.append((common / len(a) + common / len(b)) / 2)
            found_value = result[name][fact.fact_id]["overlap"]
            assert found_value == pytest.approx(np.mean(expected), abs=0.03)


def test_empty_sets_are_counted_and_have_no_value():
    found = facts(4, empty=(0,))
    found[1].rewrites[0] = grid()
    result = run(found)["rewrite"]
    assert (result["f0"]["n_empty"], result["f0"]["overlap"], result["f0"]["iou"]) == (
        2,
        None,
        None,
    )
    assert result["f1"]["n_empty"] == 1
    assert result["f1"]["overlap"] == slow(found[1].original, found[1].rewrites[1])[0]


def test_facts_without_rewrite_take_no_part():
    found = facts(6)
    found[1] = FactSets("f1", "r1", "o1", found[1].original)
    result = run(found)
    for of_facts in result.values():
        assert "f1" not in of_facts


def test_layers_as_units_have_no_draws_by_layer():
    found = [FactSets(f"f{i}", "r", f"o{i}", grid(i), [grid(i)]) for i in range(3)]
    assert run(found)["random by layer"] != {}
    assert run(found, [1] * SIZE)["random by layer"] == {}


def test_draws_follow_the_seed():
    found = facts()
    assert run(found) == run(found)
    assert run(found)["random uniform"] != run(found, seed=1)["random uniform"]


def test_growing_means_equal_averaging_each_group_by_itself():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(7, 2, 2, 8)).astype(np.float32)
    rules = {"above half": lambda s: s > 0.5 * s.max(), "negative": lambda s: s < -0.2}
    table = grow(iter(scores), [1, 2, 3, 7], rules)
    for n in (1, 2, 3, 7):
        groups = [scores[i * n : (i + 1) * n] for i in range(7 // n)]
        means = [np.mean(group, axis=0, dtype=np.float64) for group in groups]
        for name, rule in rules.items():
            same = [(rule(original), rule(rewrite)) for original, rewrite in means]
            other = [(rule(a[0]), rule(b[1])) for a, b in pairwise(means)]
            for comparison, pairs in (("rewrite", same), ("other facts", other)):
                found = table.filter(averaged_facts=n, rule=name, comparison=comparison)
                for metric, measure in fidelity.METRICS.items():
                    assert found[metric].to_list() == [measure(a, b) for a, b in pairs]

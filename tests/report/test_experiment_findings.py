"""What the first screen says of the experiments follows their tables, also where unflattering."""

from types import SimpleNamespace

import example_run
import pytest
import test_crossing_section as crossing
import test_decoupling_section as decoupling
import test_enhancement_section as enhancement
import test_erasure_section as erasure
import test_fidelity_section as fidelity
import test_reliability_section as reliability

from caploc.report.registry import parts
from caploc.report.views import View


def told(**tables):
    """Findings by subject over these tables alone."""
    tasks = [
        SimpleNamespace(id=i, title=t, capability=c)
        for i, t, c in (("alpha", "Word problems", "x"), ("beta", "Story look-up", "y"))
    ]
    spec = {
        "models": ["tiny"], "methods": ["cnl"], "headline_mask": "s6", "config": {},
        "masks": [{"id": "s6", "sigma": 6.0}],
    }  # fmt: skip
    inputs = SimpleNamespace(tasks=tasks, tables=example_run.only(**tables).tables, spec=spec)
    view = View(inputs, "tiny", "cnl")
    optional = set(example_run.EXPERIMENTS)
    modules = [part.module for part in parts() if set(part.module.TABLES) <= optional]
    found = [one for module in modules for one in module.findings(view)]
    tiles = [one for module in modules if hasattr(module, "tiles") for one in module.tiles(view)]
    return {one.about: one for one in found}, (tiles or [None])[0]


def averages(change):
    where = {"dataset": "average", "mask": "s6"}
    return [
        erasure.IDS | where | {"metric": "accuracy_change", "value": change, "ci_low": change - 0.1,
                               "ci_high": change + 0.1},
        erasure.IDS | where | {"metric": "accuracy_change", "control": "matched", "value": -0.01},
    ]  # fmt: skip


def test_a_run_without_experiments_says_nothing():
    found, tile = told()
    assert found == {}
    assert tile is None


def test_silencing_that_hurts_everywhere_supports():
    rows = erasure.rows("alpha", 0.3, 0.2, 0.4) + erasure.rows("beta", 0.3, 0.2, 0.4)
    found, tile = told(erasure=rows + averages(-0.3))
    one = found["Silencing them"]
    assert one.tone == "supports"
    assert "-30.0 (-40.0 to -20.0) percentage points on average" in one.text
    assert "in 2 of 2 data sets" in one.text
    assert (tile.number, "-40.0 to -20.0" in tile.note) == ("-30.0 points", True)


def test_a_set_without_a_match_in_size_is_named():
    rows = erasure.rows("alpha", 0.3, 0.2, 0.4) + erasure.rows("beta", 0.3, 0.2, 0.4, size=1.3)
    one = told(erasure=rows)[0]["Silencing them"]
    assert one.tone == "mixed"
    assert "In Story look-up the located neurons are larger" in one.text


def test_silencing_that_is_no_worse_than_random_is_said_plainly():
    rows = [row | ({"p_holm": 0.2} if row.get("p_holm") else {})
            for row in erasure.rows("alpha", 0.3, 0.2, 0.4)]  # fmt: skip
    one = told(erasure=rows)[0]["Silencing them"]
    assert one.tone == "against"
    assert "in 0 of 1 data sets" in one.text


def test_too_few_random_sets_decide_nothing():
    two = erasure.rows("alpha", 0.3, 0.2, 0.4) + erasure.rows("beta", 0.3, 0.2, 0.4)
    few = {"n_draws": 9, "p": 0.1, "p_holm": 0.2}
    rows = [row | (few if row.get("p_holm") else {}) for row in two]
    one = told(erasure=rows)[0]["Silencing them"]
    assert one.tone == "note"
    assert "with 9 sets and 2 tests p is at least 0.2 after Holm" in one.text


@pytest.mark.parametrize(
    ("changes", "tone"),
    [
        ({"ci_low": 0.01, "p": 0.01}, "supports"),
        ({"ci_low": 0.01, "p": 0.2}, "mixed"),
        ({"ci_low": -0.01, "p": 0.01}, "mixed"),
        ({"value": -0.1, "ci_low": -0.2, "ci_high": -0.01, "p": 1.0}, "against"),
    ],
)
def test_selective_damage(changes, tone):
    rows = [row | (changes if row["metric"] == "logprob_contrast" else {})
            for row in crossing.example()]  # fmt: skip
    assert told(cross_erasure=rows)[0]["One capability or many"].tone == tone


@pytest.mark.parametrize(("beside", "tone"), [(0.2, "mixed"), (0.0, "against"), (-0.2, "against")])
def test_training(beside, tone):
    one = told(enhancement=enhancement.table(0.6, beside))[0]["Training them"]
    assert one.tone == tone
    assert "Beside random neurons of the same layers (sigma 6)." in one.text


@pytest.mark.parametrize(
    ("changes", "tone", "words"),
    [
        ({}, "supports", "Knowledge neurons tells facts apart here."),
        ({"ci_low": -0.1}, "against", "Here no locator does (Knowledge neurons)."),
    ],
)
def test_single_facts(changes, tone, words):
    one = told(fidelity=fidelity.rows(**changes))[0]["Single facts"]
    assert one.tone == tone
    assert words in one.text


@pytest.mark.parametrize(
    ("ipp", "tone"), [((0.1, 0.02, 0.2), "supports"), ((0.1, -0.02, 0.2), "against")]
)
def test_acting_on_facts(ipp, tone):
    assert told(reliability=reliability.rows(ipp))[0]["Acting on facts"].tone == tone


@pytest.mark.parametrize(
    ("task", "main", "tone"),
    [
        ((0.2, 0.15, 0.25), (0.05, 0.02, 0.08), "supports"),
        ((0.05, 0.02, 0.08), (0.2, 0.15, 0.25), "against"),
        ((0.05, 0.02, 0.18), (0.2, 0.15, 0.25), "mixed"),
    ],
)
def test_paired_prompts(task, main, tone):
    assert told(decoupling=decoupling.rows(task, main))[0]["One text, two tasks"].tone == tone

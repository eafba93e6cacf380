"""The wording follows the numbers: the same page says the opposite for the opposite table."""

import example_run
import pytest

from caploc.report.inputs import read_inputs
from caploc.report.page import first_screen
from caploc.report.views import views


@pytest.fixture
def told(tmp_path):
    """Findings by subject, after changing the rows of one table with a function."""

    def tell(change=lambda row: None, table="agreement", **settings):
        rows = getattr(example_run, table)()
        for row in rows:
            change(row)
        job = example_run.write_run(tmp_path, settings, {table: rows})
        (view,) = views(read_inputs(job))
        shown = first_screen(view)
        return {finding.about: finding for finding in shown["findings"]}, shown["tiles"]

    return tell


def _set(arm, level):
    """Give every overlap of an arm this level with a narrow range."""

    def change(row):
        where = (row["arm"], row["comparison"], row["metric"])
        if where == (arm, "halves", "overlap") and row["value"] is not None:
            row["value"], row["ci_low"], row["ci_high"] = level, level - 0.01, level + 0.01

    return change


def test_the_fixture_as_it_is(told):
    found, (share, overlap, gap) = told()
    assert found["Agreement"].tone == "supports"
    assert "62.0–91.0 %" in found["Agreement"].text
    assert found["Against a mixture"].tone == "mixed"
    assert "Better: Word problems;" in found["Against a mixture"].text
    assert (
        "; not told apart: Story look-up; worse: Number words. Where"
        in found["Against a mixture"].text
    )
    assert found["Against neutral text"].tone == "supports"
    assert found["Against shuffled answers"].tone == "supports"
    assert found["Words or capability"].tone == "against"
    assert "Number words (98.5 %)" in found["The model itself"].text
    assert "n = 3, needs 20" in found["Without a value"].text
    assert (share.number, overlap.number) == ("0.43 %", "62.0–91.0 %")
    assert gap.number == "1.3 %"


@pytest.mark.parametrize(
    ("arm", "about"),
    [
        ("mixture", "Against a mixture"),
        ("neutral", "Against neutral text"),
        ("shuffled", "Against shuffled answers"),
    ],
)
def test_a_reference_that_agrees_as_well_is_said_plainly(told, arm, about):
    found, _ = told(_set(arm, 0.97))
    assert found[about].tone == "against"
    assert "None of 3 data sets agrees better (worse: all)" in found[about].text


@pytest.mark.parametrize("arm", ["mixture", "neutral", "shuffled"])
def test_a_reference_that_agrees_worse_supports(told, arm):
    found, _ = told(_set(arm, 0.1))
    about = {"mixture": "a mixture", "neutral": "neutral text", "shuffled": "shuffled answers"}
    assert found[f"Against {about[arm]}"].tone == "supports"


def test_agreement_at_chance_is_said_plainly(told):
    found, _ = told(_set("located", 0.012))
    assert found["Agreement"].tone == "against"
    assert "Above chance: 0 of 3" in found["Agreement"].text


def test_data_sets_that_share_as_much_as_their_halves_are_not_specific(told):
    def change(row):
        if row["comparison"] == "datasets" and row["metric"] == "overlap" and row["value"]:
            row["value"] = 0.7

    found, _ = told(change)
    assert found["Between data sets"].tone == "against"
    assert "not specific" in found["Between data sets"].text


def test_neurons_of_the_first_layer_are_suspected_of_seeing_words(told):
    def to_first_layer(row):
        row["layer"], row["neuron"] = 0, 64 * row["layer"] + row["neuron"]

    found, _ = told(to_first_layer, "neurons")
    assert found["Where they sit"].tone == "against"
    assert "single words" in found["Where they sit"].text

    def to_last_layer(row):
        row["layer"], row["neuron"] = 3, 64 * row["layer"] + row["neuron"]

    found, _ = told(to_last_layer, "neurons")
    assert found["Where they sit"].tone == "note"
    assert "is 3 (of 0 to 3" in found["Where they sit"].text


def test_a_coarse_integral_is_said_plainly(told):
    def change(row):
        if row["metric"] == "rest_mean":
            row["value"] *= 10

    found, (_, _, gap) = told(change, "completeness")
    assert found["Precision"].tone == "caution"
    assert "it is above 5 %" in found["Precision"].text
    assert gap.number == "13.3 %"


def test_missing_tables_leave_dashes_and_no_claims(told):
    found, shown = told(lambda row: row.update(model="another"))
    assert {"Agreement", "Against a mixture", "Between data sets"}.isdisjoint(found)
    assert [tile.number for tile in shown[:2]] == ["–", "–"]


def test_an_empty_headline_mask_is_named(told):
    found, _ = told(headline_mask="s12")
    assert "Number words (no neuron located in a half)" in found["Without a value"].text


def test_precision_counts_where_the_located_neurons_are(told):
    """Errors that differ by layer, weighted by hand."""
    errors = {0: 0.02, 1: 0.3, 2: 0.07, 3: 0.11}

    def change(row):
        if row["metric"] == "rest_mean":
            row["value"] = errors[row["layer"]]
        if row["metric"] == "effect":
            row["value"] = 1.0

    _, (*_, gap) = told(change, "completeness")
    means = []
    for task in ("alpha", "beta", "gamma"):
        layers = [
            row["layer"]
            for row in example_run.neurons()
            if (row["dataset"], row["mask"], row["metric"]) == (task, "s6", "z")
        ]
        if layers:
            means.append(sum(errors[layer] for layer in layers) / len(layers))
    assert len(set(errors[layer] for layer in layers)) > 1
    assert gap.number == f"{100 * sum(means) / len(means):.1f} %"
    assert f"largest {100 * max(means):.1f} %" in gap.note

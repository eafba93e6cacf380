"""The section on reliability: numbers where they belong, and verdicts that follow IPP."""

from types import SimpleNamespace

import pytest

from caploc.report.reliability import KINDS, reliability_views

IDS = {"model": "tiny", "dataset": "invented"}


def rows(ipp=(0.12, 0.05, 0.2)):
    empty = {"rule": "", "control": "", "measure": "", "interval": "", "role": "", "layer": None}
    empty |= dict.fromkeys(("value", "ci_low", "ci_high", "n", "n_draws"))
    found = [
        {"locator": "kn", "metric": "facts", "value": 24.0, "n": 24},
        {"locator": "rome", "metric": "dropped", "value": 2.0, "interval": "not <traced>"},
        {"locator": "rome", "metric": "singular", "layer": 1, "value": 1.0,
         "interval": "second moment singular: regularised"},
    ]  # fmt: skip
    named = {"locator": "kn", "rule": "0.2 x max", "control": "layer", "n": 24, "n_draws": 10}
    named |= {"measure": "suppress and enhance"}
    values = dict.fromkeys(KINDS, (0.3, 0.2, 0.4)) | {"ipp": ipp, "null": (-0.08, -0.1, -0.06)}
    for kind, (value, low, high) in values.items():
        row = named | {"metric": kind, "value": value, "ci_low": low, "ci_high": high}
        found.append(row | {"role": "primary" if kind == "ipp" else ""})
    for layer in (-1, 0):
        for measure, value in (("efficacy", 0.95), ("margin", 1.234)):
            row = {"locator": "rome", "rule": "every layer", "layer": layer, "measure": measure}
            found.append(row | {"metric": "mean", "value": value, "n": 24})
    for name, value in (("tracing", 0.02), ("layer", 0.4), ("both", 0.41)):
        row = {"locator": "rome", "rule": "every layer", "metric": "r_squared", "value": value}
        found.append(row | {"measure": f"margin explained by {name}"})
    return [empty | IDS | row for row in found]


def test_numbers_stand_where_they_belong(changed):
    _, page, html = changed({"reliability": rows()})
    table = page.table("Located against random")
    row = table.row("Knowledge neurons decides")
    assert row[1:5] == ["0.2 x max", "layer", "suppress and enhance", "10"]
    assert row[7] == "12.0 5.0 to 20.0" and row[-1] == "-8.0 -10.0 to -6.0"
    layers = page.table("Edits of every layer")
    assert layers.row("unedited")[1:5] == ["95.0", "–", "–", "1.23"]
    assert page.table("Variance of the margin").row("the layer alone")[1] == "40.0"
    for words in (
        "24 facts of invented", "2 facts left out (not &lt;traced&gt;)", "regularised",
        "located minus the best of 10 is 12.0 points (5.0 to 20.0)", "11.4", "10.5",
    ):  # fmt: skip
        assert words in html, words


@pytest.mark.parametrize(
    ("ipp", "words"),
    [
        ((0.1, 0.02, 0.2), "does more here than the best random one"),
        ((-0.1, -0.2, -0.02), "A random choice does more here"),
        ((0.01, -0.1, 0.1), "not told apart from the best random one"),
    ],
)
def test_the_verdict_follows_ipp(ipp, words):
    inputs = SimpleNamespace(tables={"reliability": rows(ipp)})
    ((_, text),) = reliability_views(inputs)[0].verdicts
    assert words in text


def test_no_section_without_the_experiment(html):
    assert 'id="reliability"' not in html and "Acting on located facts" not in html

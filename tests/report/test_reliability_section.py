"""The section on reliability: numbers where they belong, and verdicts that follow IPP."""

import example_run
import pytest

from caploc.experiments.reliability.report import KINDS, section

IDS = {"model": "tiny", "dataset": "invented"}


def rows(ipp=(0.12, 0.05, 0.2)):
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
    return [IDS | row for row in found]


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
def test_the_verdict_follows_ipp(ipp, words, changed):
    assert words in changed({"reliability": rows(ipp)})[1].texts()


def test_no_section_without_the_experiment(html):
    assert 'id="reliability"' not in html and "Acting on located facts" not in html


# One metric for all locators ----------------------------------------------------------------------


def shared(kn=(0.5, 0.2, 0.9, 0.01), text=(0.001, -0.01, 0.02, 0.4)):
    """KN at two budgets beside a circuit that has a set of one of three FFN layers, or none."""
    budgets = {"one FFN layer": 900.0, "1 % of weights": 70.0}
    found = [
        {"budget": b, "locator": "", "metric": "shared_budget", "value": value}
        for b, value in budgets.items()
    ]

    def cell(locator, budget, rule, answer, other):
        named = {"locator": locator, "budget": budget, "rule": rule, "n": 12}
        yield named | {"metric": "shared_units", "value": 3.0}
        yield named | {"metric": "shared_share", "value": 0.0089}
        for metric, (value, low, high, p) in (
            ("shared_logprob_fall", answer), ("shared_fluency_fall", other),
        ):  # fmt: skip
            row = named | {"metric": metric, "control": "", "value": value + 0.25}
            yield row | {"ci_low": low + 0.25, "ci_high": high + 0.25}
            yield named | {"metric": metric, "control": "random", "value": 0.25, "n_draws": 99}
            row = named | {"metric": metric, "control": "located minus random", "value": value}
            yield row | {"ci_low": low, "ci_high": high, "p": p, "n_draws": 99}

    for budget in budgets:
        found += cell("kn", budget, "by <score>", kn, text)
    few = (7.0, 6.0, 8.0, 0.21)
    found += cell("circuit", "one FFN layer", "by edges", few, (4.0, 3.0, 5.0, 0.2))
    none = {"locator": "circuit", "budget": "1 % of weights", "rule": "by edges", "n": 12}
    found += [
        none | {"metric": "shared_left_out", "value": 12.0, "interval": "too dear"},
        none
        | {"metric": "shared_logprob_fall", "n": 0, "interval": "not computed: n = 0, needs 10"},
        none | {"budget": "one FFN layer", "metric": "shared_sets", "value": 3.0},
        none | {"locator": "kn", "rule": "by <score>", "metric": "shared_short", "value": 2.0},
    ]
    return [IDS | row for row in found]


def test_one_metric_stands_in_a_table_of_its_own(changed):
    _, page, html = changed({"reliability": [*rows(), *shared()]})
    table = page.table("Fall of the log-probability")
    assert [row[:2] for row in table.rows][-4:] == [
        ["1\xa0% of weights", "Knowledge neurons"], ["1\xa0% of weights", "Knowledge circuits"],
        ["one FFN layer", "Knowledge neurons"], ["one FFN layer", "Knowledge circuits"],
    ]  # fmt: skip
    row = table.rows[-4]
    assert row[2:] == [
        "12", "3.0", "0.89", "0.750 0.450 to 1.150", "0.250", "0.500 0.200 to 0.900", "0.01",
        "0.251 0.240 to 0.270", "0.250", "0.001 -0.010 to 0.020",
    ]  # fmt: skip
    assert "not computed: n = 0, needs 10" in table.rows[-3]
    # the rows of the shared metric are none of IPP's
    assert len(page.table("Located against random").rows) == 3
    for words in (
        "by &lt;score&gt;", "no p is below 0.01", "12 of 12 facts (too dear)",
        "the ranking of 2 of 12 facts ends below the budget",
        "different sets of such units, the located one among them, are only 3",
    ):  # fmt: skip
        assert words in html, words


@pytest.mark.parametrize(
    ("changes", "words", "absent"),
    [
        ({}, "In 2 of 3 comparisons the answer loses more", "too: that loss"),
        ({}, "not with Knowledge circuits at one FFN layer (7.000, 6.000 to 8.000 nat, p = ", ""),
        ({}, "largest at 1 % of weights with Knowledge neurons (0.500 nat); at one FFN", ""),
        ({"text": (0.3, 0.1, 0.5, 0.02)}, "neurons at one FFN layer neutral text loses", ""),
        ({"kn": (0.5, -0.1, 0.9, 0.01)}, "In 0 of 3 comparisons", "too: that loss"),
        ({"kn": (0.5, 0.2, 0.9, 0.3)}, "In 0 of 3 comparisons", ""),
    ],
)  # fmt: skip
def test_the_sentence_needs_interval_and_p(changes, words, absent):
    (view,) = section(example_run.only(reliability=shared(**changes)))["views"]
    assert words in view["shared"]["verdict"]
    assert not absent or absent not in view["shared"]["verdict"]


def test_without_budgets_there_is_no_table():
    assert section(example_run.only(reliability=rows()))["views"][0]["shared"] is None

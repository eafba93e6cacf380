"""The page of planted models: every number where it belongs, and what was not computed is said."""

import example_run
from page_reader import Reader

from caploc.experiments.known_answer.report import known_answer_page
from caploc.experiments.known_answer.table import ALL, EFFECTIVE, KNOWN_ANSWER

PLANT = {"plant": "half-percent", "seed": 0, "dataset": "emotions"}


def surgery(usable=1.0):
    return [
        PLANT | row
        for row in (
            {"metric": "usable", "value": usable, "note": "" if usable else "emotions <is> lost"},
            {"metric": "accuracy", "value": 0.9},
            {"metric": "accuracy", "set": "planted", "value": 0.25},
            {"metric": "chance", "value": 0.2},
            {"metric": "worst_other_change", "set": "planted", "value": -0.03, "note": "reviews"},
            {"metric": "effective", "value": 7.0, "n": 8},
        )
    ]


def means(locator, value, n_samples=20):
    named = {"locator": locator, "n_samples": n_samples}
    first = named | {"truth": ALL, "metric": "average_precision", "value": value}
    return [
        first | {"ci_low": value - 0.1, "ci_high": value + 0.1},
        first | {"truth": EFFECTIVE, "value": value / 2, "ci_low": value / 2, "ci_high": value / 2},
        named | {"truth": ALL, "metric": "recall", "sigma": 6.0, "rule": "std", "value": 0.75},
        named | {"truth": ALL, "metric": "recall", "sigma": 3.0, "rule": "std", "value": 0.11},
        named | {"set": "loud", "metric": "share_of_first", "value": 0.5},
    ]


def page(*rows):
    text = known_answer_page("Planted <i>", example_run.frame_of(list(rows), KNOWN_ANSWER))
    return Reader(text), text


def test_numbers_stand_where_they_belong():
    null = {"metric": "calibration", "sigma": 0.05, "rule": "exact", "value": 0.041, "ci_low": 0.02,
            "ci_high": 0.07, "interval": "Wilson", "note": "holds"}  # fmt: skip
    few = means("random", 0.99, n_samples=5)
    found, text = page(
        *surgery(), PLANT | null, *means("random", 0.2), *means("cnl", 0.8), *few,
    )  # fmt: skip
    name = "half-percent, 0, emotions"
    assert found.table("Surgery check").row(name)[1:] == [
        "0.90", "0.25", "0.20", "-0.03 reviews", "–", "7 of 8", "yes"
    ]  # fmt: skip
    ranking = found.table("Means over plants")
    # The best first; a locator with fewer samples than it can have is not ranked.
    assert [row[0] for row in ranking.rows[1:]] == ["cnl", "random"]
    assert ranking.row("cnl")[1:] == [
        "0.80 (0.70 to 0.90)", "0.40", "–", "–", "–", "0.75", "–", "0.50", "–", "–",
    ]  # fmt: skip
    assert found.table("Calibration").row(name)[1:] == [
        "calibration, a = 0.05 (exact)", "0.041", "0.020 to 0.070, Wilson", "holds",
    ]  # fmt: skip
    assert "best first: cnl 0.80 (0.70 to 0.90), random 0.20 (0.10 to 0.30)" in text


def test_a_plant_that_failed_its_check_is_not_ranked():
    found, text = page(*surgery(usable=0.0))
    assert found.table("Surgery check").rows[1][-1] == "no: emotions <is> lost"
    assert "no plant passed the surgery check" in text and "<svg" not in text
    assert "<is>" not in text and "<i>" not in text
    assert 'id="nothing"' not in text

"""The sentence and the figure that lead the page follow the table."""

from typing import Any

import pytest

IDS = {"model": "tiny", "method": "cnl", "mask": "s6", "sigma": 6.0, "sets": "equal"}
FALLS = {"alpha": (0.9, 0.5, 0.02), "beta": (0.3, 0.1, 0.01), "gamma": (0.1, -0.1, 0.03)}


def example(low: float, p: float) -> list[dict[str, Any]]:
    """Falls of three tasks: own, own minus others, random."""
    found: list[dict[str, Any]] = []
    for task, (own, surplus, random) in FALLS.items():
        cell = IDS | {"source": task, "target": task}
        ends = {"ci_low": own - 0.1, "ci_high": own + 0.1, "n": 32}
        found.append(cell | {"metric": "logprob_fall", "value": own} | ends)
        found.append(cell | {"metric": "logprob_fall_random", "value": random, "n": 32})
        found.append(IDS | {"source": task, "metric": "n_neurons", "value": 7.0, "n": 1})
        ends = {"ci_low": surplus - 0.2, "ci_high": surplus + 0.2, "n": 32}
        found.append(IDS | {"target": task, "metric": "logprob_own", "value": surplus} | ends)
    ends = {"ci_low": low, "ci_high": 0.4, "n": 96, "n_draws": 6, "p": p, "p_holm": p}
    whole = IDS | {"metric": "logprob_own", "value": 0.1667, "role": "primary"}
    return [*found, whole | ends]


def test_the_sentence_the_figure_and_the_number(changed: Any) -> None:
    _, page, html = changed({"cross_erasure": example(0.05, 0.04)})
    text = page.texts()
    assert (
        "Located neurons belong to their task: silencing them costs it, on average, 0.17 nat"
        in text
    )
    assert "(0.05 to 0.40) more" in text and "p = 0.04 over 6 ways" in text
    assert "1 of 3 tasks lose more" in text  # alpha alone lies above 0 with its interval
    assert "7 neurons are silenced" in text and "the same 32 test questions" in text
    assert "Word problems: own 0.90, others 0.40" in html
    assert "Located neurons of each task by layer: Word problems" in html
    # First on the page, in front of every section.
    assert html.index('id="v0-0-own-cost"') < html.index('<section id="stability">')


@pytest.mark.parametrize(("low", "p"), [(0.05, 0.2), (-0.05, 0.04)])
def test_interval_and_p_must_both_say_so(changed: Any, low: float, p: float) -> None:
    _, page, _ = changed({"cross_erasure": example(low, p)})
    text = page.texts()
    assert "Located neurons are not told apart from those of other tasks" in text
    assert "belong to their task" not in text


def test_no_sentence_without_the_experiment(html: str) -> None:
    assert "Located neurons belong" not in html and "own-cost" not in html

"""The section about single facts says what the table says, and is not there without it."""

import pytest


def rows(**changes):
    """One locator whose rewrites agree by 25 points more than other facts of the relation."""
    base = {"model": "tiny", "dataset": "invented", "locator": "kn", "unit": "ffn neuron"}
    of_rule = base | {"rule": "0.2 x max", "rewrite": "template", "averaged_facts": 1}
    found = [
        base | {"metric": "facts", "facts": "all", "value": 30, "n": 30},
        base | {"metric": "facts", "facts": "known", "value": 20, "n": 30},
        base | {"metric": "dropped", "comparison": "fact", "interval": "empty object", "value": 3},
        base
        | {"rewrite": "own", "metric": "overlap", "n": 0}
        | {"interval": "not available for this model: it cannot judge"},
    ]
    for group, shift in (("known", 0.0), ("all", -0.1)):
        named = of_rule | {"facts": group}
        found.append(named | {"metric": "located_count", "value": 14.5, "n": 20})
        found.append(named | {"metric": "located_share", "value": 0.0035, "n": 20})
        for comparison, value in (
            ("rewrite", 0.4123), ("same relation", 0.1623), ("other relation", 0.05),
            ("random uniform", 0.003),
        ):  # fmt: skip
            row = named | {"comparison": comparison, "metric": "overlap"}
            ends = {"value": value + shift, "ci_low": value + shift - 0.02}
            found.append(row | ends | {"ci_high": value + shift + 0.02, "n": 20})
            found += [
                row | {"fact": f"f{i}", "value": max(0, value + shift + i / 50), "n": 1}
                for i in range(3)
            ]
        found.append(
            named | {"comparison": "rewrite", "metric": "empty_pairs", "value": 2, "n": 20}
        )
        row = named | {"comparison": "same relation", "metric": "rewrite_minus_overlap", "n": 20}
        difference = {"value": 0.25, "ci_low": 0.2, "ci_high": 0.3} | changes
        found.append(row | difference | {"role": "primary" if group == "known" else ""})
        for n, value in ((1, 0.4), (10, 0.6)):
            found.append(
                named
                | {"averaged_facts": n, "comparison": "rewrite", "metric": "grown_overlap"}
                | {"value": value, "n": 20 // n}
            )
    return found


def test_the_table_of_known_facts(changed):
    _, page, html = changed({"fidelity": rows()})
    known, everything = page.table("Facts whose prompts"), page.table("All facts, percent")
    assert known.row("Knowledge neurons")[1:] == [
        "0.2 x max", "other template of the relation", "14.5 0.35 %", "41.2 39.2–43.2", "–", "–",
        "16.2 14.2–18.2", "–", "5.0 3.0–7.0", "–", "0.3 -1.7 to 2.3", "25.0 20.0–30.0", "2 of 20",
    ]  # fmt: skip
    assert everything.row("Knowledge neurons")[4] == "31.2 29.2–33.2"
    assert page.table("One fact against").row("Knowledge neurons")[3:] == ["40.0", "60.0"]
    assert page.table("Facts and prompts left out").row("fact")[1:] == ["empty object", "3"]
    assert page.table("One fact against").rows[0][3:] == ["n = 1", "n = 10"]
    text = html[html.index('id="fidelity"') :]
    assert text.count('id="fidelity-') == 1
    assert "the original prompt of 20 of 30 facts (invented) correctly" in page.texts()
    for words in (
        "it cannot judge", "Knowledge neurons 37.3", "tells facts apart here",
        "25.0 points (20.0 to 30.0)", "does not show whether facts",
    ):  # fmt: skip
        assert words in text, words
    assert "cannot be localised" not in html


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ({"value": 0.01, "ci_low": -0.1, "ci_high": 0.1}, "no better than"),
        ({"value": -0.2, "ci_low": -0.3, "ci_high": -0.1}, "agree even better"),
        (
            {"value": None, "ci_low": None, "ci_high": None}
            | {"interval": "not computed: n = 3, needs 10"},
            "No verdict: not computed: n = 3, needs 10",
        ),
    ],
)  # fmt: skip
def test_verdicts_follow_the_difference(ends, words, changed):
    assert words in changed({"fidelity": rows(**ends)})[1].texts()


def test_any_locator_of_the_table_is_shown(changed):
    """One that declares no title goes by its id; those of the settings come first."""
    own = [row | {"locator": "my_own"} for row in rows()]
    tracing = [row | {"locator": "rome", "unit": "layer"} for row in rows()]
    settings = {"experiments": {"fidelity": {"locators": ["rome", "my_own"]}}, "run": {}}
    _, page, html = changed({"fidelity": [*own, *rows(), *tracing]}, config=settings)
    lines = page.table("Facts whose prompts").rows[2:]
    assert [line[0] for line in lines] == ["Causal tracing", "my_own", "Knowledge neurons"]
    assert "my_own, overlap by fact, means" in html
    assert "Causal tracing 32.7&nbsp;%, Knowledge neurons 37.3&nbsp;%." in html


def test_a_run_without_the_experiment_has_no_section(html):
    assert 'id="fidelity"' not in html and "Single facts" not in html

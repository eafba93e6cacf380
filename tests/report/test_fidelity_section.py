"""The section about single facts says what the table says, and is not there without it."""

import example_run
import pyarrow as pa
import pytest
from page_reader import Reader

from caploc.experiments.fidelity.report import fidelity_views
from caploc.files import store
from caploc.measures.averages import FIDELITY
from caploc.report.inputs import read_inputs
from caploc.report.page import render


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
    empty = {f.name: "" if pa.types.is_string(f.type) else None for f in FIDELITY}
    return [empty | row for row in found]


@pytest.fixture
def section(tmp_path):
    def write(table):
        job = example_run.write_run(tmp_path)
        path = tmp_path / "tables/fidelity.parquet"
        origin = {"stage": "tabulate_fidelity", "spec": {}, "code": "0" * 16, "inputs": {}}
        store.write_table(pa.Table.from_pylist(table, schema=FIDELITY), path, {"origin": origin})
        job.inputs["fidelity"] = [path]
        return read_inputs(job)

    return write


def test_the_table_of_known_facts(section):
    inputs = section(rows())
    (view,) = fidelity_views(inputs)
    (row,) = view.known
    assert (row.locator, row.rule) == ("Knowledge neurons", "0.2 x max")
    assert row.numbers["rewrite"].value == pytest.approx(0.4123)
    assert row.numbers["same answer"].reason == "–"
    assert view.everything[0].numbers["rewrite"].value == pytest.approx(0.3123)
    assert (view.n_known, view.n_facts, view.sizes) == (20, 30, [1, 10])
    assert [cell.value for cell in view.grown[0][3]] == [0.4, 0.6]
    assert len(view.panels) == 1
    html = render(inputs)
    Reader(html)
    text = html[html.index('id="fidelity"') :]
    for words in (
        "41.2", "14.5", "2 of 20", "empty object", "it cannot judge", "37.3", "32.7", "7.2",
        "tells facts apart here", "25.0 points (20.0 to 30.0)", "does not show whether facts",
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
def test_verdicts_follow_the_difference(section, ends, words):
    (view,) = fidelity_views(section(rows(**ends)))
    ((_, text),) = view.verdicts
    assert words in text


def test_a_run_without_the_experiment_has_no_section(html):
    assert 'id="fidelity"' not in html and "Single facts" not in html

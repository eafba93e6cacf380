"""The diagrams of the two frameworks: drawn from the first example that can be shown."""

from dataclasses import replace

import example_run
import pyarrow as pa
import pytest
import test_decoupling_section as decoupling
import test_fidelity_section as fidelity
from page_reader import Reader

from caploc.files import store
from caploc.report.inputs import read_inputs
from caploc.report.page import render
from caploc.report.worked_examples import fact_example, pair_example


def prompts():
    """Fact a: rewrite locates nothing; b: not known; c: known."""
    return [
        {"fact_id": f, "prompt_id": i, "kind": kind, "prompt": f"{f} <i>{kind}</i>",
         "object": f"object of {f}", "correct": f == "c"}
        for f in "abc" for i, kind in enumerate(("original", "template"))
    ]  # fmt: skip


def fact_sets(c=([1, 2, 3, 4], [3, 4, 9])):
    sets = {"a": ([1], []), "b": ([1, 2], [2]), "c": c}
    return [
        {"fact_id": f, "prompt_id": i, "rule": rule, "units": units if rule == "0.2 x max" else [7]}
        for f, both in sets.items() for i, units in enumerate(both)
        for rule in ("0.2 x max", "refined")
    ]  # fmt: skip


def pairs():
    """Pair p locates nothing in one prompt, q and r everywhere."""
    samples, sets = [], []
    for pair in "pqr":
        for part in "12":
            for form in "01":
                name = {"pair_id": pair, "part": part, "form": form}
                samples.append(
                    name | {"main": pair, "prompt": f"{pair}{part}{form}", "answer": " 4"}
                )
                units = {"q": [1, 2], "r": [2, 5, 6, 7]}.get(pair, [1])
                units = [*units, 10] if part == "1" else units
                sets.append(name | {"correct": True, "units": [] if pair + part == "p2" else units})
    return samples, sets


@pytest.fixture
def job(tmp_path):
    tables = {"fidelity": fidelity.rows(), "decoupling": decoupling.rows()}
    # `fidelity` is not among the tables that example_run knows.
    job = example_run.write_run(tmp_path, None, {"decoupling": tables["decoupling"]})
    samples, sets = pairs()
    files = {
        "fact_prompts": prompts(), "fact_sets": fact_sets(), "pair_samples": samples,
        "pair_sets": sets,
    }  # fmt: skip
    for name, rows in files.items():
        path = tmp_path / f"{name}.parquet"
        store.write_table(pa.Table.from_pylist(rows), path, {"origin": {}})
        job.inputs[name] = [path]
    return job


def test_the_first_known_fact_that_locates_twice(job):
    found = fact_example(job, "kn")
    assert (found.locator, found.rule, found.known) == ("kn", "0.2 x max", True)
    assert found.answer == "object of c"
    assert (found.first.n_units, found.rewrite.n_units, found.rewrite.n_common) == (4, 3, 2)
    assert found.rewrite.share == pytest.approx(2 / 3.5)


def test_a_fact_that_is_not_known_is_said_to_be(job):
    rows = [row | {"correct": False} for row in prompts()]
    store.write_table(pa.Table.from_pylist(rows), job.input("fact_prompts"), {"origin": {}})
    found = fact_example(job, "kn")
    assert (found.answer, found.known) == ("object of b", False)


def test_no_example_without_files_or_located_units(job):
    assert fact_example(replace(job, inputs={}), "kn") is None
    assert pair_example(replace(job, inputs={}), "rule") is None
    rows = [row | {"units": []} for row in fact_sets()]
    store.write_table(
        pa.Table.from_pylist(rows, pa.schema([
            ("fact_id", pa.string()), ("prompt_id", pa.int16()), ("rule", pa.string()),
            ("units", pa.list_(pa.int32())),
        ])), job.input("fact_sets"), {"origin": {}},
    )  # fmt: skip
    assert fact_example(job, "kn") is None


def test_the_four_comparisons_of_a_prompt(job):
    found = pair_example(job, "rule")
    assert (found.first.prompt, found.answer) == ("q10", "4")
    assert [(o.what, o.prompt, o.n_common) for o in found.others] == [
        ("same text, same task", "q11", 3),
        ("same text, other task", "q20", 2),
        ("other text, same task", "r10", 2),
        ("other text, other task", "r20", 1),
    ]
    assert found.others[2].share == pytest.approx(2 / 4)


def test_the_page_draws_them_and_escapes_prompts(job):
    html = render(read_inputs(job))
    assert "Framework: decoupling, one worked example" in html
    assert "3 in common" in Reader(html).texts()
    # single facts have no table in this run, so there is nothing to explain
    assert "Framework: fidelity" not in html
    assert "<i>original" not in html

"""The diagrams of the two frameworks: drawn from the first example that can be shown."""

import example_run
import pyarrow as pa
import pytest
import test_decoupling_section as decoupling
import test_fidelity_section as fidelity
from page_reader import Reader

from caploc.experiments.decoupling._example import pair_example
from caploc.experiments.fidelity._example import fact_example
from caploc.files import store
from caploc.report.inputs import read_inputs
from caploc.report.page import render


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


FACT_PROMPTS = pa.schema([
    ("fact_id", pa.string()), ("prompt_id", pa.int16()), ("kind", pa.string()),
    ("prompt", pa.string()), ("object", pa.string()), ("correct", pa.bool_()),
])  # fmt: skip
FACT_SETS = pa.schema([
    ("fact_id", pa.string()), ("prompt_id", pa.int16()), ("rule", pa.string()),
    ("units", pa.list_(pa.int32())),
])  # fmt: skip
PAIR_SETS = pa.schema([
    ("pair_id", pa.string()), ("part", pa.string()), ("form", pa.string()),
    ("correct", pa.bool_()), ("units", pa.list_(pa.int32())),
])  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Path of a written file: ``write(name, rows, schema)``."""

    def written(name, rows, schema=None):
        path = tmp_path / f"{name}.parquet"
        store.write_table(pa.Table.from_pylist(rows, schema), path, {"origin": {}})
        return path

    return written


@pytest.fixture
def fact(write):
    """The example of these prompts and sets."""

    def example(of_prompts=None, of_sets=None):
        return fact_example(
            write("fact_prompts", of_prompts or prompts(), FACT_PROMPTS),
            write("fact_sets", of_sets or fact_sets(), FACT_SETS),
        )

    return example


@pytest.fixture
def pair(write):
    samples, sets = pairs()
    return pair_example(write("pair_samples", samples), write("pair_sets", sets, PAIR_SETS))


def test_the_first_known_fact_that_locates_twice(fact):
    found = fact()
    assert (found["rule"], found["known"], found["answer"]) == ("0.2 x max", True, "object of c")
    first, rewrite = found["prompts"]
    assert (first["prompt"], rewrite["prompt"]) == ("c <i>original</i>", "c <i>template</i>")
    assert (first["n_units"], rewrite["n_units"], rewrite["n_common"]) == (4, 3, 2)
    assert rewrite["share"] == pytest.approx(2 / 3.5)


def test_a_fact_that_is_not_known_is_said_to_be(fact):
    found = fact([row | {"correct": False} for row in prompts()])
    assert (found["answer"], found["known"]) == ("object of b", False)


def test_no_example_without_located_units(fact):
    assert fact(of_sets=[row | {"units": []} for row in fact_sets()]) is None


def test_the_four_comparisons_of_a_prompt(pair):
    assert [(o["what"], o["prompt"], o["n_common"]) for o in pair] == [
        ("", "q10", 3),
        ("same text, same task", "q11", 3),
        ("same text, other task", "q20", 2),
        ("other text, same task", "r10", 2),
        ("other text, other task", "r20", 1),
    ]
    assert pair[3]["share"] == pytest.approx(2 / 4)


def test_pairs_that_are_answered_come_first(write):
    samples, sets = pairs()
    sets = [row | {"correct": row["pair_id"] != "q"} for row in sets]
    samples.append(samples[-1] | {"pair_id": "s"})  # of a pair that is not whole
    found = pair_example(write("pair_samples", samples), write("pair_sets", sets, PAIR_SETS))
    assert [row["prompt"] for row in found] == ["r10", "r11", "r20", "q10", "q20"]


def test_the_page_draws_them_and_escapes_prompts(write, tmp_path):
    tables = {"decoupling": decoupling.rows()}
    config = {"experiments": {"decoupling": {"kn": {"ratio": 0.2}}}, "run": {}}
    job = example_run.write_run(tmp_path, {"config": config}, tables)
    samples, sets = pairs()
    samples = [row | {"prompt": f"<i>{row['prompt']}"} for row in samples]
    job.inputs["pair_samples"] = [write("pair_samples", samples)]
    job.inputs["pair_sets"] = [write("pair_sets", sets, PAIR_SETS)]
    html = render(read_inputs(job))
    assert "Framework: decoupling, one worked example" in html
    text = Reader(html).texts()
    assert "3 in common" in text and "<i>q10" in text
    assert "neurons above 0.2 of the maximum" in text
    # single facts have no table in this run, so there is nothing to explain
    assert "Framework: fidelity" not in html
    assert "<i>q10" not in html


def test_the_page_draws_one_fact(write, tmp_path):
    job = example_run.write_run(tmp_path, None, {"fidelity": fidelity.rows()})
    job.inputs["fact_prompts"] = [write("fact_prompts", prompts(), FACT_PROMPTS)]
    job.inputs["fact_sets"] = [write("fact_sets", fact_sets(), FACT_SETS)]
    html = render(read_inputs(job))
    text = Reader(html).texts()
    assert "2 in common" in text and "overlap 57 %" in text
    assert "(Knowledge neurons, 0.2 x max)" in text
    assert "<i>original" not in html

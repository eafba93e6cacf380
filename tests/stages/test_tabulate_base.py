"""Exact match with Wilson intervals."""

import pyarrow as pa
import pytest

from caploc.files import store
from caploc.measures.statistics import wilson
from caploc.stages import tabulate_base


@pytest.fixture
def tabulate(make_job, tmp_path):
    def call(answers):
        paths = []
        for (model, task), correct in answers.items():
            paths.append(tmp_path / f"{model}.{task}")
            table = pa.table(
                {
                    "sample_id": [f"s{i}" for i in range(len(correct))],
                    "correct": pa.array(correct, pa.bool_()),
                }
            )
            store.write_table(
                table, paths[-1], {"origin": {"spec": {"model": model, "task": task}}}
            )
        outputs = {kind: tmp_path / f"base.{kind}" for kind in ("csv", "parquet")}
        tabulate_base.run(make_job("tabulate_base", {}, {"answers": paths}, outputs))
        return store.read_table(outputs["parquet"]), outputs["csv"].read_text()

    return call


def test_shares_and_intervals(tabulate):
    table, text = tabulate({("m", "b"): [True] * 3 + [False], ("m", "a"): [False] * 5})
    assert table.schema.names == (
        ["model", "dataset", "split", "metric", "value", "ci_low", "ci_high", "interval", "n"]
    )
    a, b = table.to_pylist()
    expected = wilson(3, 4)
    assert (b["value"], b["ci_low"], b["ci_high"], b["n"]) == (0.75, expected.low, expected.high, 4)
    assert (a["value"], a["ci_low"], a["n"]) == (0.0, 0.0, 5)
    assert {r["split"] for r in (a, b)} == {"test"}
    assert text.splitlines()[2].startswith(f"m,b,test,exact_match,0.75,{expected.low!r},")


def test_no_answers_have_no_value(tabulate):
    (row,) = tabulate({("m", "a"): []})[0].to_pylist()
    assert row["value"] is row["ci_low"] is None
    assert row["n"] == 0

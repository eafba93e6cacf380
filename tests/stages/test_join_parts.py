"""Parts of agreement to one sorted table; the CSV says the same as the Parquet file."""

import csv

import polars as pl
import pytest

from caploc.experiments.agreement.table import AGREEMENT
from caploc.files import store, tables
from caploc.records import DataError
from caploc.stages import join_parts

COLUMNS = (
    "model dataset reference method mask sigma arm comparison n_half metric value ci_low ci_high "
    "interval n n_draws p p_holm role"
)


def row(**values):
    return {"model": "m", "method": "cnl", "mask": "s6", "sigma": 6.0} | values


ROWS = [
    row(dataset="b", n_half=10, metric="overlap", value=1 / 3, n=5, arm="located"),
    row(dataset="b", n_half=2, metric="overlap", value=0.1 + 0.2, n=5, arm="located"),
    row(
        dataset="b",
        metric="overlap",
        interval='not computed: "n" = 3, needs 20',
        n=0,
        arm="located",
    ),
    row(dataset="a", reference="b", n_half=None, metric="iou", value=1e-17, n=1),
]


def as_part(rows):
    return tables.gathered([pl.DataFrame(row) for row in rows], AGREEMENT)


@pytest.fixture
def tabulate(make_job, tmp_path):
    def call(parts, name="agreement"):
        paths = []
        for index, part in enumerate(parts):
            paths.append(tmp_path / f"part{index}")
            tables.write_part(as_part(part), paths[-1], {})
        outputs = {kind: tmp_path / f"{name}.{kind}" for kind in ("csv", "parquet")}
        join_parts.run(make_job("join_parts", {"table": "agreement"}, {"parts": paths}, outputs))
        return outputs["csv"], outputs["parquet"]

    return call


def test_columns_order_and_numbers(tabulate):
    text, table = tabulate([ROWS[:2], ROWS[2:]])
    found = store.read_table(table)
    assert found.schema.names == COLUMNS.split()
    assert [(r["dataset"], r["n_half"]) for r in found.to_pylist()] == [
        ("a", None), ("b", 2), ("b", 10), ("b", None),
    ]  # fmt: skip
    with text.open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    assert len(lines) == 4
    for line, expected in zip(lines, found.to_pylist(), strict=True):
        for name, value in expected.items():
            if value is None:
                assert line[name] == ""
            else:
                assert type(value)(line[name]) == value  # every digit is there


def test_the_order_of_parts_and_rows_changes_no_byte(tabulate):
    one = tabulate([ROWS[:2], ROWS[2:]], "one")
    other = tabulate([ROWS[::-1], []], "other")
    assert one[0].read_bytes() == other[0].read_bytes()
    assert store.read_table(one[1]).equals(store.read_table(other[1]))
    again = tabulate([ROWS[::-1], []], "again")
    assert other[1].read_bytes() == again[1].read_bytes()


def test_no_parts_give_a_header(tabulate):
    text, table = tabulate([])
    assert text.read_text().split("\n") == [",".join(COLUMNS.split()), ""]
    assert dict(tables.read(table).schema) == dict(AGREEMENT)


def test_a_part_without_a_column_is_refused(make_job, tmp_path):
    tables.write_part(as_part(ROWS).drop("p_holm"), tmp_path / "part", {})
    outputs = {"csv": tmp_path / "c", "parquet": tmp_path / "p"}
    with pytest.raises(DataError, match="/part: column 'p_holm' is missing"):
        join_parts.run(
            make_job("join_parts", {"table": "agreement"}, {"parts": [tmp_path / "part"]}, outputs)
        )
    assert not outputs["csv"].exists()

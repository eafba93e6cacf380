"""Tables are written whole, read with their schema, and readable by anybody's defaults."""

import csv

import polars as pl
import pytest

from caploc.files import tables
from caploc.files.tables import ESTIMATE, TESTED, gathered, texts
from caploc.records import DataError

SCHEMA = texts("model", "note") | {"layer": tables.LAYER} | dict(ESTIMATE)


def test_frames_of_some_columns_become_one_table():
    found = gathered(
        [
            pl.DataFrame({"model": ["b"], "value": [1]}),
            pl.DataFrame({"layer": [3], "note": [None]}),
        ],
        SCHEMA,
    )
    assert dict(found.schema) == SCHEMA
    assert found["model"].to_list() == ["b", ""] and found["note"].to_list() == ["", ""]
    assert found["value"].to_list() == [1.0, None] and found["layer"].to_list() == [None, 3]
    assert gathered([], SCHEMA).shape == (0, len(SCHEMA))


def test_a_column_that_the_table_has_not_is_refused():
    with pytest.raises(ValueError, match=r"column 'valeu' is none of the table: model, note"):
        gathered([pl.DataFrame({"valeu": [1.0]})], SCHEMA)


def test_rows_are_sorted_and_both_files_say_the_same(tmp_path):
    frame = gathered(
        [
            pl.DataFrame(
                {"model": ["b", "a", "a"], "layer": [1, None, 2], "value": [0.1, 1e-9, 3.0]}
            )
        ],
        SCHEMA,
    )
    outputs = {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.parquet"}
    tables.write(frame, outputs, {"stage": "x"})
    found = tables.read(outputs["parquet"], SCHEMA)
    assert found["model"].to_list() == ["a", "a", "b"]
    assert found["layer"].to_list() == [2, None, 1]
    told = pl.read_csv(outputs["csv"])
    assert told["value"].to_list() == found["value"].to_list() == [3.0, 1e-9, 0.1]
    assert told.columns == list(SCHEMA)
    # An empty text is an empty cell.
    assert outputs["csv"].read_text().splitlines()[1] == "a,,2,,3.0,,,,"


def test_no_text_is_a_formula_of_a_spreadsheet(tmp_path):
    notes = ["=1+1", "+x", "-y", "@z", "\t=1", "\r=1", "a=1", "'", ""]
    frame = gathered([pl.DataFrame({"note": notes, "value": [-1.5] * len(notes)})], SCHEMA)
    outputs = {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.parquet"}
    tables.write(frame, outputs, {})
    assert sorted(tables.read(outputs["parquet"])["note"].to_list()) == sorted(notes)
    with outputs["csv"].open(newline="") as handle:
        told = list(csv.DictReader(handle))
    assert {row["value"] for row in told} == {"-1.5"}
    assert sorted(row["note"] for row in told) == sorted(
        f"'{text}" if text[:1] in tuple("=+-@\t\r") else text for text in notes
    )


def test_defaults_read_a_table_whose_first_hundred_numbers_are_whole(tmp_path):
    frame = gathered(
        [pl.DataFrame({"value": [float(i) for i in range(150)] + [0.5], "n": [1] * 151})], SCHEMA
    )
    tables.write(frame, {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t"}, {})
    assert pl.read_csv(tmp_path / "t.csv")["value"].to_list() == frame["value"].to_list()


def test_a_column_of_another_type_names_file_and_both_types(tmp_path):
    tables.write_part(pl.DataFrame({"p": ["1"]}), tmp_path / "x.parquet", {})
    with pytest.raises(DataError, match=r"x\.parquet: column 'p' is String, expected Float64"):
        tables.read(tmp_path / "x.parquet", {"p": TESTED["p"]})
    with pytest.raises(DataError, match=r"column 'metric' is missing"):
        tables.read(tmp_path / "x.parquet", ESTIMATE)

"""Two runs side by side: rows that belong together, and what is not there."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest

from caploc.cli import main
from caploc.comparison.runs import read_run
from caploc.comparison.side_by_side import differing_settings, tables
from caploc.files import store
from conftest import ERASURE


def changed(**values):
    return [row | values if row["dataset"] == "emotions" else row for row in ERASURE]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_same_question_of_two_models_stands_in_one_row(finish):
    finish("one", "a", ERASURE)
    finish("two", "b", changed(value=0.625), sigma=3.0)
    (table,) = tables(read_run("one"), read_run("results/two"))
    emotions, reviews = table.rows
    assert emotions.key["model"] == "a | b" and emotions.key["sigma"] == "6 | 3"
    assert (emotions.a["value"], emotions.b["value"], emotions.difference) == (0.5, 0.625, 0.125)
    assert emotions.primary and not reviews.primary
    assert reviews.difference == 0


def test_a_row_of_one_run_alone_stays(finish):
    finish("one", "a", ERASURE)
    finish("two", "b", ERASURE[1:])
    (table,) = tables(read_run("one"), read_run("two"))
    (emotions,) = [row for row in table.rows if row.key["dataset"] == "emotions"]
    assert emotions.b["value"] is None and emotions.difference is None
    assert emotions.key["model"] == "a"


def test_settings_that_differ(finish):
    finish("one", "a", ERASURE)
    finish("two", "a", ERASURE, sigma=3.0)
    found = differing_settings(read_run("one"), read_run("two"))
    assert sorted(found) == [("masks.s6.sigma", "6", "3"), ("run.name", "one", "two")]


def test_files_hold_the_numbers_and_missing_tables_their_command(finish, caplog):
    finish("one", "a", ERASURE)
    finish("two", "b", changed(value=0.625))
    assert main(["compare", "one", "two", "--out", "out/both"]) == 0
    first = rows_of(Path("out/both.csv"))[0]
    assert (first["value_a"], first["value_b"], first["difference"]) == ("0.5", "0.625", "0.125")
    page = Path("out/both.html").read_text()
    assert "0.5 (0.4 to 0.6)" in page and "+0.125" in page
    assert "http" not in page.replace("http-equiv", "")
    told = "Run one has no table <code>agreement</code>: snakemake --cores all tabulate_agreement"
    assert told in page
    assert "run one has no table agreement" in caplog.text


def test_text_of_a_config_is_no_markup(finish):
    finish("one", "a", ERASURE)
    folder = finish("two", "a", ERASURE)
    config = store.read_json(folder / "config.json")
    config["run"]["title"] = "<script>alert(1)</script>"
    store.write_json(config, folder / "config.json")
    assert main(["compare", "one", "two"]) == 0
    assert "<script>" not in Path("compare-one-two.html").read_text()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("nowhere", "nowhere: no such folder, and no run of that name under results/; there are: "),
        ("empty", "empty: not the folder of a run (no config.json in it)"),
        ("old", "not the settings of a run of this version; run snakemake once more"),
        ("strange", "no column 'metric', so another version of caploc wrote it; make it anew"),
        ("bare", "have no table in common; make one in each: snakemake --cores all tables"),
    ],
)  # fmt: skip
def test_what_is_no_run_ends_in_one_line(finish, caplog, second, message):
    finish("one", "a", ERASURE)
    Path("empty").mkdir()
    store.write_json({"run": {"name": "old"}}, Path("results/old/config.json"))
    strange = finish("strange", "a")
    table = pa.table({"model": ["a"], "accuracy": [0.5]})
    store.write_table(table, strange / "tables" / "erasure.parquet", {})
    finish("bare", "a")
    assert main(["compare", "one", second]) == 2
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert message in record.getMessage()

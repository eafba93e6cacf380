"""Two runs side by side: rows that belong together, and what is not there."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from caploc.cli import main
from caploc.commands.compare import differing_settings, side_by_side
from caploc.config import check
from caploc.files import store
from caploc.jobs.job import Job
from caploc.jobs.receipts import receipt_of, write_receipts
from caploc.report.finished import read_run

REPOSITORY = Path(__file__).resolve().parents[2]
ERASURE = [
    {"model": "m", "dataset": "emotions", "mask": "s6", "sigma": 6.0, "control": "", "neuron": None,
     "metric": "accuracy", "value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 40, "role": "primary"},
    {"model": "m", "dataset": "reviews", "mask": "s6", "sigma": 6.0, "control": "", "neuron": None,
     "metric": "accuracy", "value": 0.75, "ci_low": None, "ci_high": None, "n": 40, "role": ""},
    {"model": "m", "dataset": "reviews", "mask": "s6", "sigma": 6.0, "control": "", "neuron": 7,
     "metric": "score", "value": 0.1, "ci_low": None, "ci_high": None, "n": None, "role": ""},
]  # fmt: skip


@pytest.fixture
def finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``finish(name, model, rows, sigma=6.0)``: a run with the table erasure, or without any."""
    monkeypatch.chdir(tmp_path)

    def make(
        name: str, model: str, rows: list[dict[str, Any]] | None = None, sigma: float = 6.0
    ) -> Path:
        config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
        config["run"] |= {"name": name, "models": [model], "experiments": ["erasure"]}
        config["models"][model] = {"family": "llama", "path": f"/models/{model}"}
        config["masks"]["s6"]["sigma"] = sigma
        folder = Path("results") / name
        store.write_json(check(config), folder / "config.json")
        if rows is not None:
            told = [row | {"model": model, "sigma": sigma} for row in rows]
            table = pa.Table.from_pylist(told)
            store.write_table(table, folder / "tables" / "erasure.parquet", {})
            written(folder / "tables" / "erasure.parquet")
        return folder

    return make


def written(path: Path) -> None:
    """Leave the receipt of a job that has made the table."""
    job = Job("tabulate_erasure", {}, "0", {}, {"parquet": path})
    write_receipts(job, job.origin())


def changed(**values):
    return [row | values if row["dataset"] == "emotions" else row for row in ERASURE]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_same_question_of_two_models_stands_in_one_row(finish):
    finish("one", "a", ERASURE)
    finish("two", "b", changed(value=0.625), sigma=3.0)
    table = side_by_side(read_run("one"), read_run("results/two"))["erasure"]
    emotions, reviews = table.rows(named=True)
    assert emotions["model"] == "a | b" and emotions["sigma"] == "6 | 3"
    values = (emotions["value_a"], emotions["value_b"], emotions["difference"])
    assert values == (0.5, 0.625, 0.125)
    assert emotions["primary"] and not reviews["primary"]
    assert reviews["difference"] == 0


def test_models_are_matched_by_name_where_a_run_has_several(finish):
    finish("one", "a", ERASURE)
    folder = finish("two", "b", ERASURE)
    config = store.read_json(folder / "config.json")
    config["run"]["models"].append("c")
    store.write_json(config, folder / "config.json")
    table = side_by_side(read_run("one"), read_run("two"))["erasure"]
    assert table["model"].to_list() == ["a", "a", "b", "b"]
    assert table["difference"].null_count() == 4


def test_a_row_of_one_run_alone_stays(finish):
    finish("one", "a", ERASURE)
    finish("two", "b", ERASURE[1:])
    table = side_by_side(read_run("one"), read_run("two"))["erasure"]
    (emotions,) = (row for row in table.rows(named=True) if row["dataset"] == "emotions")
    assert emotions["value_b"] is None and emotions["difference"] is None
    assert emotions["model"] == "a"


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


def test_the_page_begins_with_numbers_whose_intervals_do_not_overlap(finish):
    rows = [row | {"ci_low": row["value"] - 0.1, "ci_high": row["value"] + 0.1} for row in ERASURE]
    finish("a", "m", rows)
    finish("b", "m", [rows[0] | {"value": 0.9, "ci_low": 0.7, "ci_high": 1.0}, *rows[1:]])
    assert main(["compare", "a", "b"]) == 0
    text = Path("compare-a-b.html").read_text()
    first = text[text.index('<section id="apart">') :].partition("</section>")[0]
    assert "Of 2 numbers with an interval in both runs, 1 have intervals" in first
    assert "emotions" in first and "reviews" not in first and "+0.4" in first
    folded = text[text.index('<section id="erasure">') :]
    assert folded.index("<details") < folded.index("reviews")


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
    written(strange / "tables" / "erasure.parquet")
    finish("bare", "a")
    assert main(["compare", "one", second]) == 2
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert message in record.getMessage()


def test_an_edited_table_and_one_that_nobody_made_are_refused(finish, caplog):
    folder = finish("a", "m", ERASURE)
    finish("b", "other", changed(value=0.25))
    path = folder / "tables/erasure.parquet"
    store.write_table(pa.Table.from_pylist(changed(value=0.9)), path, {})
    assert main(["compare", "a", "b"]) == 2
    assert f"{path}: damaged or edited, its content is not what tabulate_erasure" in caplog.text
    receipt_of(path).unlink()
    assert main(["compare", "a", "b"]) == 2
    assert f"{path}: has no receipt, so nobody knows what made it" in caplog.text
    assert not list(Path().glob("compare-*"))

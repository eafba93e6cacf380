"""What stands in a file is what a sample says: random tables, and inputs that went wrong once."""

import csv
import json
from datetime import date
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caploc import plugins
from caploc.records import DataError
from caploc.samples.local_files import read_file
from caploc.samples.preparation import prepare

GENERIC = plugins.load("tasks", "generic").TASK
WANTED = {"locate": 9, "train": 1, "validation": 1, "test": 1}
# Everything but what no text file can hold: surrogates, and NUL, which csv readers end at.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
TABLES = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(TEXTS, min_size=n, max_size=n), min_size=1, max_size=5)
)


def names_of(table):
    return [f"c{i}" for i in range(len(table[0]))]


def cells(rows, names):
    return [[row[name] for name in names] for row in rows]


def prepared(path, dropped=False, **settings):
    """(prompt, answer) of all samples by the plug-in `generic`, or why rows were left out."""
    told = {"task": "x", "files": str(path), "prompt": "Q: {question}", "answer": " {answer}"}
    splits = prepare(GENERIC, told | settings, WANTED, 0)
    if dropped:
        return dict(splits["locate"].dropped)
    return sorted((s.prompt, s.answer) for split in splits.values() for s in split.samples)


@given(TABLES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_csv_of_python_comes_back(tmp_path_factory, table, end, marked):
    path = tmp_path_factory.mktemp("x") / "t.csv"
    names = names_of(table)
    # A row of one empty field looks like an empty line, unless it is quoted.
    with path.open("w", encoding="utf-8-sig" if marked else "utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerows([names, *table])
    assert cells(read_file(path, "csv", None), names) == table


@given(TABLES)
def test_a_csv_of_polars_comes_back(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("x") / "t.csv"
    names = names_of(table)
    pl.DataFrame(table, schema=names, orient="row").write_csv(path)
    assert cells(read_file(path, "csv", None), names) == table


@given(TABLES, st.booleans())
def test_json_of_python_and_polars_comes_back(tmp_path_factory, table, ascii_only):
    folder = tmp_path_factory.mktemp("x")
    names = names_of(table)
    rows = [dict(zip(names, row, strict=True)) for row in table]
    (folder / "t.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows), encoding="utf-8"
    )
    (folder / "t.json").write_text(json.dumps(rows), encoding="utf-8-sig")
    pl.DataFrame(table, schema=names, orient="row").write_ndjson(folder / "p.jsonl")
    for name, kind in (("t.jsonl", "jsonl"), ("t.json", "json"), ("p.jsonl", "jsonl")):
        assert read_file(folder / name, kind, None).rows == rows


def jsonl(path, *rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"1969-07-20"', "1969-07-20"),
        ('"2020-01-01T00:00:00Z"', "2020-01-01T00:00:00Z"),
        ("3", "3"),
        ("2.50", "2.50"),
        ("1180591620717411303424", "1180591620717411303424"),
        ("1e3", "1e3"),
        ("true", "true"),
    ],
)
def test_values_of_json_stay_as_they_are_written(tmp_path, written, read):
    path = tmp_path / "x.jsonl"
    path.write_text(
        f'{{"question": "a", "answer": {written}, "meta": {{"at": "2020-01-01T00:00:00Z"}}}}\n'
        '{"question": "b", "answer": 2.5, "meta": [1]}\n'
    )
    assert prepared(path) == [("Q: a", f" {read}"), ("Q: b", " 2.5")]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "column 'answer' is nan"),
        ("[1]", "column 'answer' holds a list"),
        ('{"a": 1}', "column 'answer' holds a dict"),
        ("null", "empty answer"),
    ],
)
def test_a_used_value_that_is_no_text_drops_its_row(tmp_path, value, reason):
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"question":"a","answer":{value}}}\n{{"question":"b","answer":"c"}}\n')
    assert prepared(path) == [("Q: b", " c")]
    assert prepared(path, dropped=True) == {reason: 1}


def test_values_of_parquet(tmp_path):
    table = pa.table(
        {
            "question": ["a", "b", "c", "d"],
            "answer": pa.array([b"Paris", b"caf\xc3\xa9", b"\xff", b"x"], pa.binary()),
            "price": [Decimal("1.50")] * 4,
            "on": [date(1969, 7, 20)] * 4,
            "image": [{"bytes": b"\xff", "path": None}] * 4,
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    found = prepared(tmp_path / "x.parquet")
    assert found == [("Q: a", " Paris"), ("Q: b", " café"), ("Q: d", " x")]
    priced = prepared(tmp_path / "x.parquet", answer=" {price} {on}")
    assert priced[0] == ("Q: a", " 1.50 1969-07-20")


def test_label_numbers_become_words(tmp_path):
    path = jsonl(tmp_path / "x.jsonl", '{"question":"a","answer":1}\n{"question":"b","answer":0}')
    assert prepared(path, labels=["neg", "pos"]) == [("Q: a", " pos"), ("Q: b", " neg")]
    table = pa.table({"question": ["a", "b"], "answer": [1, 0]})
    declared = {"info": {"features": {"answer": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(declared)})
    pq.write_table(table, tmp_path / "x.parquet")
    assert prepared(tmp_path / "x.parquet") == [("Q: a", " yes"), ("Q: b", " no")]
    assert prepared(tmp_path / "x.parquet", labels=["-", "+"]) == [("Q: a", " +"), ("Q: b", " -")]


def test_text_behind_many_numbers(tmp_path):
    """A reader that guesses types from the first rows would take the column for numbers."""
    numbers = [(f"{i:03}", f"{i}.50") for i in range(300)]
    path = tmp_path / "x.csv"
    path.write_text("question,answer\n" + "".join(f"{q},{a}\n" for q, a in numbers) + "q,x1e5\n")
    written = {(f"Q: {q}", f" {a}") for q, a in [*numbers, ("q", "x1e5")]}
    assert written.issuperset(prepared(path))


def test_a_trailing_comma_shifts_nothing(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("question,answer,note\nq1,a1,n1,\nq2,a2,n2,\n")
    assert prepared(path) == [("Q: q1", " a1"), ("Q: q2", " a2")]
    path.write_text("q1,a1,\nq2,a2,\n")
    assert prepared(path, header=["question", "answer"]) == [("Q: q1", " a1"), ("Q: q2", " a2")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "question,answer\nq1,a1\nq2,a2,more\n", r"line 3: 3 fields, but 2 names: q2,a2"),
        ("x.csv", "question,answer\nq1,a1,n1\nq2,a2,n2\n", r"line 2: 3 fields, but 2 names"),
        ("x.csv", "question,answer,note\nq1,a1\n", r"line 2: 2 fields, but 3 names"),
        ("x.tsv", "question\tanswer\nq1\ta1\tb\n", r"cannot be read as tsv \(line 2: 3 fields"),
        ("x.csv", "answer,answer\na,b\n", r"column 'answer' stands twice"),
        ("x.jsonl", '{"question":"a","answer":"b"}\n[1]\n', r"line 2 is \[\"1\"\]; expected"),
        ("x.json", '{"question":["a","b"],"answer":["c","d"]}', r"one object with lists in it"),
        ("x.json", "[1, 2]", r"item 1 is \"1\"; expected an object"),
        ("x.jsonl", '{"question":"a",\n', r"cannot be read as jsonl \(line 1: "),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_are_refused(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=rf"^{path}: .*{message}"):
        prepared(path)


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.json", "x.txt"])
def test_latin_1_is_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes("question,answer\ncafé,b\n".encode("latin-1"))
    with pytest.raises(DataError, match=rf"{path}: not UTF-8 text \(.*\); save it as UTF-8$"):
        prepared(path, prompt="{text}", answer="{text}")


def test_a_mark_belongs_to_no_name_and_no_text(tmp_path):
    for name, text in (
        ("x.csv", "question,answer\na,b\n"),
        ("x.tsv", "question\tanswer\na\tb\n"),
        ("x.jsonl", '{"question":"a","answer":"b"}\n'),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert prepared(tmp_path / name) == [("Q: a", " b")]
    (tmp_path / "x.txt").write_text("a\n", encoding="utf-8-sig")
    assert prepared(tmp_path / "x.txt", prompt="{text}", answer="{text}") == [("a", "a")]


def test_a_name_is_no_pattern(tmp_path):
    jsonl(tmp_path / "data1.jsonl", {"question": "wrong", "answer": "x"})
    path = jsonl(tmp_path / "data[1].jsonl", {"question": "right", "answer": "x"})
    assert prepared(path) == [("Q: right", " x")]

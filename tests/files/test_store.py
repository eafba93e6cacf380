"""Files: whole or not there, read back as written, and refused with a remedy when damaged."""

import os
import stat
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caploc.files import store
from caploc.records import DataError

AGAIN = "only this file is made anew"


def made(n=50, width=40):
    scores = np.random.default_rng(0).normal(size=n * width).astype(np.float32)
    return pa.table(
        {
            "name": pa.array([f"s{i}" for i in range(n)]),
            "count": pa.array([None, *range(1, n)], pa.int32()),
            "exact": pa.array(np.linspace(0, 1, n)),
            "scores": pa.FixedSizeListArray.from_arrays(pa.array(scores), width),
        }
    )


@pytest.mark.parametrize("floats", [(), ("scores.list.element", "exact")])
def test_a_table_comes_back_as_it_was_written(tmp_path, floats):
    path = tmp_path / "deep" / "er" / "t.parquet"
    store.write_table(made(), path, {"a": [1, None, "é"]}, floats)
    found = store.read_table(path, ["name", "scores"])
    assert found.equals(made())
    assert found.schema.equals(made().schema)
    assert store.read_metadata(path) == {"a": [1, None, "é"]}
    assert [p.name for p in path.parent.iterdir()] == ["t.parquet"]


@settings(max_examples=25)  # every write waits for the disk
@given(st.lists(st.tuples(st.text(), st.floats(width=64), st.integers(-(2**31), 2**31 - 1))))
def test_any_values_come_back(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    names, floats, counts = zip(*values, strict=True) if values else ((), (), ())
    table = pa.table(
        {"a": pa.array(names, pa.string()), "b": pa.array(floats, pa.float64()),
         "c": pa.array(counts, pa.int32())}
    )  # fmt: skip
    store.write_table(table, path, {})
    found = store.read_table(path)
    assert found.drop(["b"]).equals(table.drop(["b"]))
    # bytes, because NaN differs from itself
    assert found["b"].to_numpy().tobytes() == table["b"].to_numpy().tobytes()


def test_equal_tables_give_equal_bytes(tmp_path):
    for name in "ab":
        store.write_table(made(), tmp_path / name, {"x": 1, "a": 2}, ["scores.list.element"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_splitting_bytes_saves_space(tmp_path):
    table = made(500, 200).set_column(
        3, "scores", pa.FixedSizeListArray.from_arrays(
            pa.array(np.random.default_rng(0).normal(scale=1e-6, size=100_000).astype(np.float32)),
            200,
        ),
    )  # fmt: skip
    store.write_table(table, tmp_path / "plain", {})
    store.write_table(table, tmp_path / "split", {}, ["scores.list.element"])
    assert (tmp_path / "split").stat().st_size < 0.95 * (tmp_path / "plain").stat().st_size


def test_metadata_may_be_completed_while_writing(tmp_path):
    metadata = {"n": 0}
    with store.table_writer(tmp_path / "t", made().schema, metadata) as writer:
        writer.write_table(made())
        metadata["n"] = 50
    assert store.read_metadata(tmp_path / "t") == {"n": 50}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "t"
    store.write_table(made(3), path, {})
    before = path.read_bytes()
    with (
        pytest.raises(error),
        store.table_writer(path, made().schema, {}) as writer,
    ):
        writer.write_table(made())
        raise error
    with pytest.raises(error), store.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


def test_metadata_that_is_no_json_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        store.write_table(made(), tmp_path / "t", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_killed_writer_leaves_no_file_under_the_name(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from caploc.files import store\n"
        "with store.atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "t"
    done = subprocess.run([sys.executable, "-c", code, str(path)])
    assert done.returncode == -9
    assert not path.exists()
    store.write_text("whole", path)  # what is left over is in nobody's way
    assert path.read_text() == "whole"


def _write_often(path: Path, value: int) -> None:
    for _ in range(10):
        store.write_table(pa.table({"value": [value] * 2_000}), path, {"value": value})


def test_concurrent_writers_never_show_a_mixed_or_half_file(tmp_path):
    path = tmp_path / "t"
    _write_often(path, 0)
    context = get_context("spawn")
    writers = [context.Process(target=_write_often, args=(path, i)) for i in (1, 2)]
    for writer in writers:
        writer.start()
    n_read = 0
    while n_read < 30 or any(writer.is_alive() for writer in writers):
        values = set(store.read_table(path)["value"].to_pylist())
        assert len(values) == 1
        n_read += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_file_names_the_remedy(tmp_path, share):
    path = tmp_path / "t"
    store.write_table(made(), path, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    for read in (store.read_table, store.read_metadata):
        with pytest.raises(DataError, match=f"/t: damaged or truncated.*delete it.*{AGAIN}"):
            read(path)


def test_a_flipped_bit_anywhere_is_noticed_or_harmless(tmp_path):
    """Scores hardly compress: without checksums most flips would pass as other numbers."""
    path = tmp_path / "t"
    store.write_table(made(), path, {}, ["scores.list.element"])
    content = path.read_bytes()
    n_noticed = 0
    for place in range(4, len(content) - 8, 61):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        try:
            found = store.read_table(path)
        except DataError as error:
            assert str(path) in str(error)
            n_noticed += 1
        else:
            assert found["scores"].equals(made()["scores"])
    assert n_noticed > 0.8 * len(range(4, len(content) - 8, 61))


def test_missing_files_and_columns_are_named(tmp_path):
    for read in (store.read_table, store.read_metadata, store.read_json):
        with pytest.raises(DataError, match="/absent: no such file"):
            read(tmp_path / "absent")
    store.write_table(made(), tmp_path / "t", {})
    with pytest.raises(DataError, match=r"/t: column 'prompt' is missing; found \['name', 'count'"):
        store.read_table(tmp_path / "t", ["name", "prompt"])


def test_a_file_of_somebody_else_has_no_origin(tmp_path):
    pa.parquet.write_table(made(), tmp_path / "t")
    with pytest.raises(DataError, match="/t: carries no caploc metadata"):
        store.read_metadata(tmp_path / "t")


def test_json_is_sorted_and_strict(tmp_path):
    path = tmp_path / "j"
    store.write_json({"b": 1, "a": [None, "é"]}, path)
    assert store.read_json(path) == {"a": [None, "é"], "b": 1}
    assert path.read_text().index('"a"') < path.read_text().index('"b"')
    with pytest.raises(ValueError, match="JSON"):
        store.write_json({"a": float("inf")}, path)
    assert store.read_json(path)["b"] == 1
    for content in (b'{"a": ', b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"/j: not valid JSON \(.*\); delete it"):
            store.read_json(path)


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_files_obey_the_umask(tmp_path):
    """A temporary file that only its owner may read would lock colleagues out of results."""
    before = os.umask(0o022)
    try:
        store.write_text("x", tmp_path / "t")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o644

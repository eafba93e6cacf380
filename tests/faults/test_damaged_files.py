"""Damaged Parquet and safetensors files are refused by the stages that read them, none accepted.

`caploc verify` on damaged files of every kind: tests/test_verification.py.
"""

import shutil
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from caploc import cli
from caploc.files import shards, store
from caploc.interventions.delta import read_delta
from caploc.jobs import receipts
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.records import DataError


def flipped(share):
    def damage(content):
        changed = bytearray(content)
        changed[int(len(content) * share)] ^= 0x10
        return bytes(changed)

    return damage


DAMAGE = {
    "empty": lambda content: b"",
    "first half": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "zeros in the middle": lambda c: c[: len(c) // 3] + bytes(len(c) // 3) + c[2 * len(c) // 3 :],
    **{f"bit at {share:.0%}": flipped(share) for share in (0.02, 0.2, 0.4, 0.6, 0.8, 0.98)},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Scores, a table of samples and a model, with the receipts of the jobs that made them."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.normal(size=3_000), "text": [f"words {i}" for i in range(3_000)]})
    store.write_table(table, folder / "locate.parquet", {"origin": {}}, ["x"])
    (folder / "hf").mkdir()
    save_file({"w": rng.normal(size=(40, 50))}, folder / "hf/model.safetensors")
    (folder / "hf/config.json").write_text("{}" * 50)
    files = {p.name: file_digest(p) for p in (folder / "hf").iterdir()}
    store.write_json({"path": "hf", "files": files}, folder / "manifest.json")
    outputs = {name: folder / name for name in ("locate.parquet", "manifest.json")}
    job = Job("prepare_samples", {}, "0", {}, outputs)
    receipts.write_receipts(job, job.origin())
    return folder


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", ["locate.parquet", "hf/model.safetensors", "manifest.json"])
def test_no_stage_begins_with_a_damaged_input(made, tmp_path, monkeypatch, caplog, name, how):
    """30 damaged files; the stage itself is never called."""
    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    content = (folder / name).read_bytes()
    damaged = DAMAGE[how](content)
    assert damaged != content
    (folder / name).write_bytes(damaged)
    for variable in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(run=accepted))
    status = cli.main(
        ["build_mask", "--input", f"samples={folder}/locate.parquet",
         "--input", f"manifest={folder}/manifest.json", "--output", f"mask={folder}/mask"]
    )  # fmt: skip
    assert status == 2
    assert f"{folder / name}: damaged or edited, its content is not what" in caplog.text
    assert "run the same snakemake command again" in caplog.text
    assert not (folder / "mask").exists()


def accepted(job):
    raise AssertionError("a damaged file was accepted")


@pytest.mark.parametrize("how", DAMAGE)
def test_scores_without_a_receipt_are_refused_too(write_shard, how):
    """Whoever lost the receipts is still told: pages of Parquet files carry checksums."""
    path = write_shard("a.parquet", np.random.default_rng(0).normal(size=(40, 2, 64)))
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    try:
        read = [scores.copy() for scores, _, _ in shards.rows(shards.scan([path]))]
    except DataError as error:
        assert str(path) in str(error)
        assert "delete" in str(error)
        return
    # A bit of the footer that nobody reads (a statistic, the writer's name) changes no number.
    whole = write_shard("b.parquet", np.random.default_rng(0).normal(size=(40, 2, 64)))
    wanted = [scores.copy() for scores, _, _ in shards.rows(shards.scan([whole]))]
    assert all(np.array_equal(a, b) for a, b in zip(read, wanted, strict=True))


@pytest.mark.parametrize("how", ["empty", "first half", "last byte missing", "bit at 2%"])
def test_damaged_trained_values_are_refused(tmp_path, how):
    path = tmp_path / "s3.safetensors"
    save_file({"0.mlp.down_proj": np.zeros((4, 8), np.float32)}, path, {"format": "pt"})
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    with pytest.raises(DataError, match=r"s3\.safetensors"):
        read_delta(path)

"""A finished run goes to a stand-in for the hub and comes back as located neurons."""

import json
import shutil
from types import SimpleNamespace

import huggingface_hub
import polars as pl
import pytest

import caploc
from caploc.commands import push
from caploc.models import hub

pytestmark = pytest.mark.workflow


@pytest.fixture
def pushed(finished, tmp_path, monkeypatch):
    """Push with these arguments; the hub is a folder."""

    class Api:
        def create_repo(self, repo, *, exist_ok, private):
            (tmp_path / "hub" / repo).mkdir(parents=True, exist_ok=exist_ok)

        def upload_folder(self, *, repo_id, folder_path, **_):
            shutil.copytree(folder_path, tmp_path / "hub" / repo_id, dirs_exist_ok=True)

    def download(repo, *, revision, allow_patterns):
        assert revision in ("main", "name")
        return str(tmp_path / "hub" / repo)

    def call(**options):
        told = {"run": str(finished.folder / "results/test"), "private": False, "repo": "me/name",
                "out": tmp_path / "out"}  # fmt: skip
        push.run(SimpleNamespace(**told | options))
        return tmp_path / "hub/me/name"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(hub, "snapshot_download", download)
    return call


def test_what_is_pushed_comes_back(pushed, finished):
    folder = pushed()
    index = json.loads((folder / "caploc.json").read_text())
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {one[key] for one in index["masks"] for key in ("file", "scores")} <= files
    assert len(index["masks"]) == 6 and "tables/erasure.parquet" in files
    assert any(name.startswith("deltas/") for name in files)
    assert not any("receipt" in name or name.startswith("models/") for name in files)
    assert str(finished.folder) not in "".join(p.read_text("latin-1") for p in folder.rglob("*.*"))
    for one in index["masks"]:
        found = caploc.Located.from_hub("me/name", task=one["task"], mask=one["mask"])
        kept = finished.folder / "results/test" / one["file"]
        assert (found.mask == caploc.read_mask(kept)).all()
        z = pl.read_parquet(kept)["z"].abs().sort(descending=True)
        assert found.table()["z"].abs().to_list() == pytest.approx(z.to_list())


def test_the_card_says_what_the_tables_say(pushed, finished):
    card = (pushed() / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: caploc\n")
    table = pl.read_parquet(finished.folder / "results/test/tables/erasure.parquet")
    (own,) = table.filter(
        dataset="emotions", mask="s3", arm="located", mode="all", control="", shots=0,
        metric="logprob_fall",
    ).filter(pl.col("share").is_null())["value"]  # fmt: skip
    begin = f"| tiny | emotions | s3 | {own:.2f} ("
    assert [line for line in card.splitlines() if line.startswith(begin)]
    assert 'from_hub("me/name", task="' in card
    assert f"caploc {caploc.__version__}" in card and "{{" not in card


def test_what_cannot_be_pushed_or_found(pushed, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    with pytest.raises(caploc.DataError, match="was not written by this command"):
        pushed(out=tmp_path / "mine")
    pushed(repo=None)
    assert not (tmp_path / "hub").exists() and (tmp_path / "out/README.md").is_file()
    pushed()
    with pytest.raises(
        caploc.DataError, match=r"2 masks are .*task/mask/model/method: emotions/s3/"
    ):
        caploc.Located.from_hub("me/name", task="emotions")
    with pytest.raises(caploc.DataError, match=r"0 masks are .*name one of these"):
        caploc.Located.from_hub("me/name", task="chess")

    class Refusing:
        def create_repo(self, repo, **_):
            raise huggingface_hub.errors.HFValidationError("bad name")

    monkeypatch.setattr(huggingface_hub, "HfApi", Refusing)
    with pytest.raises(caploc.DataError, match=r"hub refused .*\(bad name\); give a token"):
        pushed()

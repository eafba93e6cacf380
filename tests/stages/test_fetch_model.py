"""The manifest of a model that was not trained here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caploc import store
from caploc.provenance import file_digest
from caploc.records import DataError
from caploc.stages import fetch_model


def fetch(tmp_path: Path, make_job: Callable[..., Any], **settings: Any) -> dict[str, Any]:
    out = tmp_path / "run" / "manifest.json"
    spec = {"model": "mine", "repo": None, "path": None, "revision": "main", "dtype": "float32",
            "family": "llama"}  # fmt: skip
    fetch_model.run(make_job("fetch_model", spec | settings, {}, {"manifest": out}))
    return store.read_json(out)


def test_local_folder(
    tmp_path: Path, save_model: Callable[..., Path], make_job: Callable[..., Any]
) -> None:
    folder = save_model()
    manifest = fetch(tmp_path, make_job, path=str(folder))
    assert manifest.pop("n_parameters") > 1000
    assert manifest.pop("files") == {p.name: file_digest(p) for p in sorted(folder.iterdir())}
    assert manifest.pop("origin")["stage"] == "fetch_model"
    assert manifest == {
        "model": "mine", "path": str(folder), "repo": None, "revision": None,
        "architecture": "LlamaForCausalLM", "family": "llama", "n_layers": 3, "n_neurons": 24,
        "dtype": "float32", "trained": None,
    }  # fmt: skip


def test_hub_records_the_commit(
    tmp_path: Path, save_model: Callable[..., Path], make_job: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = save_model()
    monkeypatch.setattr(fetch_model, "snapshot", lambda repo, revision: (folder, "c0ffee"))
    manifest = fetch(tmp_path, make_job, repo="owner/name")
    assert (manifest["repo"], manifest["revision"]) == ("owner/name", "c0ffee")
    assert manifest["path"] == str(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "expected exactly one of `repo` and `path`"),
        ({"repo": "a/b", "path": "c"}, "expected exactly one of `repo` and `path`"),
        ({"path": "no/such/folder"}, "path 'no/such/folder' is not a folder"),
    ],
)
def test_refusals(
    tmp_path: Path, make_job: Callable[..., Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        fetch(tmp_path, make_job, **settings)


def test_family_that_disagrees(
    tmp_path: Path, save_model: Callable[..., Path], make_job: Callable[..., Any]
) -> None:
    with pytest.raises(DataError, match=r"family is 'gptj', .* holds a model of family 'llama'"):
        fetch(tmp_path, make_job, path=str(save_model()), family="gptj")
    assert not (tmp_path / "run" / "manifest.json").exists()

"""The hub, without the hub: what is asked for, and what each failure tells the user."""

from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from huggingface_hub import errors

from caploc.models import hub as _hub
from caploc.models.hub import snapshot
from caploc.records import DataError

COMMIT = "0" * 40


def answer(monkeypatch: pytest.MonkeyPatch, reply: Any) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []

    def download(repo: str, **settings: Any) -> str:
        asked.append({"repo": repo, **settings})
        if isinstance(reply, Exception):
            raise reply
        return str(reply)

    monkeypatch.setattr(_hub, "snapshot_download", download)
    return asked


def folder_with(tmp_path: Path, *names: str) -> Path:
    folder = tmp_path / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_safetensors_alone_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path, "config.json", "model.safetensors")
    asked = answer(monkeypatch, folder)
    assert snapshot("owner/name", "v1") == (folder, COMMIT)
    assert len(asked) == 1 and asked[0]["revision"] == "v1"
    assert "*.safetensors" in asked[0]["allow_patterns"]
    assert not any("bin" in pattern for pattern in asked[0]["allow_patterns"])


def test_pickled_weights_are_not_even_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer(monkeypatch, folder_with(tmp_path, "config.json", "pytorch_model.bin"))
    with pytest.raises(DataError, match=r"pickled.*run any program.*refs/pr.*save_pretrained"):
        snapshot("owner/name")
    assert [a["revision"] for a in asked] == ["main"]
    assert not any("bin" in pattern for pattern in asked[0]["allow_patterns"])


def test_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, folder_with(tmp_path, "config.json"))
    with pytest.raises(DataError, match="owner/name at main: no file matches"):
        snapshot("owner/name")


def http(kind: type[errors.HfHubHTTPError], status: int) -> Exception:
    request = httpx.Request("GET", "https://huggingface.co/api")
    return kind("no", response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (http(errors.GatedRepoError, 403), "Accept its conditions at https://huggingface.co/o/n.*"
         "HF_TOKEN.*or name a local folder as `path:`"),
        (http(errors.RevisionNotFoundError, 404), "no revision 'v9'; use a commit"),
        (http(errors.RepositoryNotFoundError, 404), "no such model on the hub.*HF_TOKEN"),
        (errors.LocalEntryNotFoundError("not there"), "not in the local cache.*`path:`"),
        (errors.OfflineModeIsEnabled("offline"), "not in the local cache.*HF_HUB_OFFLINE"),
        (ConnectionError("refused"), "cannot be reached .refused."),
        (errors.HFValidationError("bad"), "is not a hub id"),
    ],
)  # fmt: skip
def test_failures(error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, error)
    with pytest.raises(DataError, match=message):
        snapshot("o/n", "v9")


def test_really_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="no-such-owner/no-such-model at main: not in the local"):
        snapshot("no-such-owner/no-such-model")

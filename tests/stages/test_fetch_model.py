"""The manifest of a model that was not trained here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from huggingface_hub.errors import GatedRepoError
from tiny_families import FAMILIES
from transformers import AutoTokenizer

from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.models import hub as _hub
from caploc.models.loading import check_shape
from caploc.records import DataError
from caploc.stages import fetch_model


def fetch(tmp_path: Path, make_job: Callable[..., Any], **settings: Any) -> dict[str, Any]:
    out = tmp_path / "run" / "manifest.json"
    out.parent.mkdir(exist_ok=True)
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
        "dtype": "float32", "chat_template": None, "trained": None,
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


SHAPE = {"layers": 3, "hidden": 16, "ffn": 24, "heads": 4, "kv_heads": 2, "vocabulary": 21,
         "tied": False}  # fmt: skip


def test_the_shape_of_the_config_is_compared_with_the_model(
    tmp_path: Path, save_model: Callable[..., Path], make_job: Callable[..., Any]
) -> None:
    folder = save_model()
    shape = SHAPE | {"vocabulary": len(AutoTokenizer.from_pretrained(folder))}
    assert fetch(tmp_path, make_job, path=str(folder), shape=shape)["n_layers"] == 3
    wrong = shape | {"layers": 4, "kv_heads": 4}
    with pytest.raises(
        DataError,
        match=r"shape\.layers is 4, found 3, .*kv_heads is 4, found 2 in .*config\.json",
    ):
        fetch(tmp_path, make_job, path=str(folder), shape=wrong)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_shape_is_read_of_every_family(tmp_path: Path, family: str) -> None:
    lm = FAMILIES[family]()
    lm.model.config.architectures = [type(lm.model).__name__]
    lm.model.config.save_pretrained(tmp_path)
    check_shape(tmp_path, {"layers": lm.n_layers, "ffn": lm.n_neurons, "hidden": 16}, "shape")
    with pytest.raises(DataError, match="layers is 99, found 3"):
        check_shape(tmp_path, {"layers": 99}, "shape")


def test_gated_weights_say_what_to_accept_and_where_the_token_goes(
    tmp_path: Path, make_job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(repo: str, **settings: Any) -> str:
        request = httpx.Request("GET", "https://huggingface.co/api")
        raise GatedRepoError("403", response=httpx.Response(403, request=request))

    monkeypatch.setattr(_hub, "snapshot_download", refuse)
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, make_job, repo="meta-llama/Llama-2-7b-hf")
    message = str(caught.value)
    assert "Accept its conditions at https://huggingface.co/meta-llama/Llama-2-7b-hf" in message
    assert "HF_TOKEN" in message and "hf auth login" in message and "`path:`" in message

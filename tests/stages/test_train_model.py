"""Train a toy, load it as anyone would, train it again: the same bytes."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.records import DataError
from caploc.samples.splits import prompt_digest
from caploc.stages import train_model
from caploc.training import loop
from caploc.training.corpus import draw_corpus

SPEC = {
    "model": "toy",
    "seed": 0,
    "architecture": {
        "layers": 2, "hidden": 32, "ffn": 48, "heads": 4, "kv_heads": 2, "context": 64,
    },
    "train": {
        "steps": 40, "batch": 8, "learning_rate": 5e-3, "warmup": 5,
        "mixture": {"emotions": 1, "number_words": 1, "facts": 2},
    },
}  # fmt: skip


def train(folder, make_job, spec=SPEC):
    outputs = {
        "manifest": folder / "manifest.json",
        "loss": folder / "loss.parquet",
        "prompts": folder / "training_prompts.parquet",
    }
    train_model.run(make_job("train_model", spec, {}, outputs))
    return outputs


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    from caploc.jobs.job import Job

    return train(tmp_path_factory.mktemp("toy"), lambda *a: Job(a[0], a[1], "0" * 16, *a[2:], 1))


def test_manifest(outputs):
    manifest = store.read_json(outputs["manifest"])
    folder = outputs["manifest"].parent / manifest["path"]
    expected = {
        "model": "toy", "path": "hf", "repo": None, "revision": None, "family": "llama",
        "architecture": "LlamaForCausalLM", "n_layers": 2, "n_neurons": 48, "dtype": "float32",
    }  # fmt: skip
    assert {k: manifest[k] for k in expected} == expected
    assert manifest["files"] == {p.name: file_digest(p) for p in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= manifest["files"].keys()
    trained = manifest["trained"]
    assert trained["steps"] == 40 and trained["sequences"] == 320 and trained["threads"] == 1
    assert trained["precision"].startswith(("float32", "bfloat16"))
    assert trained["tokens"] > 3000
    assert manifest["origin"]["spec"] == SPEC


def test_loss_falls(outputs):
    table = store.read_table(outputs["loss"], ("step", "loss", "learning_rate"))
    assert table["step"].to_pylist() == list(range(1, 41))
    losses = table["loss"].to_pylist()
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert max(table["learning_rate"].to_pylist()) == pytest.approx(5e-3)


def test_training_prompts_are_those_of_the_corpus(outputs):
    train = SPEC["train"]
    corpus = draw_corpus(train["mixture"], train["steps"], train["batch"], 0)
    expected = {(t.task, prompt_digest(t.prompt)) for batch in corpus for t in batch}
    rows = store.read_table(outputs["prompts"], ("task", "prompt_digest")).to_pylist()
    assert {(r["task"], r["prompt_digest"]) for r in rows} == expected
    assert len(rows) == len(expected)


def test_the_folder_is_an_ordinary_model(outputs):
    folder = outputs["manifest"].parent / "hf"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    batch = tokenizer(["Add two to three.\nResult:"], return_tensors="pt")
    assert torch.isfinite(model(**batch).logits).all()
    assert (
        sum(p.numel() for p in model.parameters())
        == (store.read_json(outputs["manifest"])["n_parameters"])
    )


def test_same_seed_same_bytes(outputs, tmp_path, make_job):
    again = train(tmp_path, make_job)
    first, second = (store.read_json(o["manifest"]) for o in (outputs, again))
    assert first["files"] == second["files"]
    assert outputs["loss"].read_bytes() == again["loss"].read_bytes()
    assert outputs["prompts"].read_bytes() == again["prompts"].read_bytes()
    # no time is in it either: what is made from it is the same, too
    assert outputs["manifest"].read_bytes() == again["manifest"].read_bytes()


class Killed(BaseException):
    """A kill: nothing in the library catches it."""


@pytest.mark.parametrize("kill_at", [9, 10, 25, 39])
def test_a_killed_training_ends_with_the_same_bytes(
    outputs, tmp_path, make_job, monkeypatch, kill_at
):
    monkeypatch.setattr(loop, "_STEPS_BETWEEN_CHECKPOINTS", 10)
    counted = []

    def killed(work, *rest):
        for step in work:
            counted.append(step)
            if len(counted) == kill_at:
                raise Killed
            yield step

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "tracked", killed)
        train(tmp_path, make_job)
    assert [p.name for p in tmp_path.iterdir()] == [".manifest.json.work"]
    kill_at, n_before = 0, len(counted)
    torch.manual_seed(12345)
    monkeypatch.setattr(loop, "tracked", killed)
    again = train(tmp_path, make_job)
    # kept: what the last checkpoint held (a step that was interrupted was not recorded)
    assert len(counted) - n_before == 40 - (n_before - 1) // 10 * 10
    for name in ("manifest", "loss", "prompts"):
        assert outputs[name].read_bytes() == again[name].read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_checkpoint_of_other_settings_or_damaged_is_not_used(tmp_path, make_job, monkeypatch):
    monkeypatch.setattr(loop, "_STEPS_BETWEEN_CHECKPOINTS", 2)
    short = SPEC | {"train": SPEC["train"] | {"steps": 5}}
    resumed = []
    restore = loop.checkpoint.restore

    def watched(*arguments):
        resumed.append(len(found := restore(*arguments)))
        return found

    monkeypatch.setattr(loop.checkpoint, "restore", watched)

    def attempt(spec, fails):
        with monkeypatch.context() as patch:
            if fails:
                patch.setattr(train_model, "save_model", lambda *a: 1 / 0)
            try:
                train(tmp_path, make_job, spec)
            except ZeroDivisionError:
                assert fails

    attempt(short, True)
    attempt(short, True)
    (weights,) = (tmp_path / ".manifest.json.work").glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    attempt(short, True)
    attempt(short | {"seed": 5}, True)
    attempt(short, False)
    assert resumed == [0, 4, 0, 0, 0]


def test_another_seed_other_bytes_and_no_old_file_stays(outputs, tmp_path, make_job):
    stale = tmp_path / "hf" / "model-00001-of-00002.safetensors"
    stale.parent.mkdir()
    stale.touch()
    short = SPEC | {"seed": 1, "train": SPEC["train"] | {"steps": 2, "warmup": 0}}
    again = train(tmp_path, make_job, short)
    assert not stale.exists()
    name = "model.safetensors"
    files = [store.read_json(o["manifest"])["files"][name] for o in (outputs, again)]
    assert files[0] != files[1]


def test_a_sequence_that_does_not_fit_is_named(tmp_path, make_job):
    spec = SPEC | {"architecture": SPEC["architecture"] | {"context": 10}}
    with pytest.raises(
        DataError,
        match=r"task '\w+': a training sequence has \d+ tokens, the model's context is",
    ):
        train(tmp_path, make_job, spec)
    assert not (tmp_path / "manifest.json").exists()

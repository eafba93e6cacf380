"""`caploc apply`: an ordinary model folder, and one line for everything that does not fit."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from caploc import cli
from caploc.files.masks import write_mask
from caploc.interventions.delta import write_delta, write_tensors
from caploc.interventions.slices import Slices
from caploc.jobs.digests import file_digest, weights_digest
from caploc.jobs.job import Job
from caploc.jobs.receipts import write_receipts
from caploc.models.loading import load_model

TEXT = torch.tensor([[3, 5, 4, 9, 6]])


@pytest.fixture
def folder(save_model):
    return save_model()


@pytest.fixture
def identity(folder):
    return {
        "repo": None, "revision": "0123abc", "architecture": "LlamaForCausalLM",
        "weights": weights_digest({p.name: file_digest(p) for p in folder.iterdir()}),
    }  # fmt: skip


@pytest.fixture
def mask(tmp_path, identity):
    """Neurons 0 and 1 of layer 0 and neuron 7 of layer 2, by their scores."""

    def make(name="mask.parquet", shape=(3, 24), sigma=2.0, model=identity):
        scores = np.random.default_rng(0).normal(size=shape)
        scores[0, :2] += 30
        scores[2, 7] -= 30
        write_mask(tmp_path / name, scores, {"sigma": sigma}, {"origin": {}, "model": model})
        return tmp_path / name

    return make


@pytest.fixture
def delta(tmp_path, folder, identity):
    lm = load_model(folder)
    chosen = np.zeros((lm.n_layers, lm.n_neurons), dtype=bool)
    chosen[1, [2, 9]] = True
    slices = Slices(lm, chosen)
    with torch.no_grad():
        for value in slices.values.values():
            value.add_(0.5)
    path = tmp_path / "delta.safetensors"
    write_delta(path, slices, chosen, "both", identity, {"task": "sums"})
    return path


def call(*arguments):
    return cli.main(["apply", *map(str, arguments)])


@pytest.mark.parametrize("factor", [0.0, 2.0])
def test_a_scaled_model_is_an_ordinary_folder(folder, mask, tmp_path, factor):
    out = tmp_path / "out"
    assert call("--model", folder, "--mask", mask(), "--scale", factor, "--out", out) == 0
    before, after = (load_file(f / "model.safetensors") for f in (folder, out))
    changed = {0: [0, 1], 2: [7]}
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        wanted = tensor.clone()
        for layer, neurons in changed.items():
            if name == f"model.layers.{layer}.mlp.down_proj.weight":
                wanted[:, neurons] *= factor
        assert torch.equal(after[name], wanted), name
    model = AutoModelForCausalLM.from_pretrained(out)
    assert AutoTokenizer.from_pretrained(out)("a b").input_ids
    untouched = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        assert not torch.allclose(model(TEXT).logits, untouched(TEXT).logits)
    record = json.loads((out / "caploc.json").read_text())
    assert record["neurons"] == 3 and record["scale"] == factor


def test_trained_slices_are_put_in_and_nothing_else_changes(folder, delta, tmp_path):
    out = tmp_path / "out"
    assert call("--model", folder, "--delta", delta, "--out", out) == 0
    before, after = (load_file(f / "model.safetensors") for f in (folder, out))
    for name, tensor in before.items():
        wanted = tensor.clone()
        if name.endswith("layers.1.mlp.down_proj.weight"):
            wanted[:, [2, 9]] += 0.5
        elif "layers.1.mlp." in name:
            wanted[[2, 9]] += 0.5
        assert torch.equal(after[name], wanted), name
    AutoModelForCausalLM.from_pretrained(out)


def test_what_a_trainer_leaves_beside_the_weights_is_none_of_them(folder, mask, tmp_path):
    (folder / "training_args.bin").write_bytes(b"pickled settings")
    assert call("--model", folder, "--mask", mask(), "--out", tmp_path / "out") == 0


def refused(caplog, tmp_path, *arguments):
    caplog.clear()
    before = {p.name for p in tmp_path.iterdir()}
    assert call(*arguments, "--out", tmp_path / "refused") == 2
    assert {p.name for p in tmp_path.iterdir()} == before
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert "\n" not in line
    return line


def test_what_does_not_fit_is_refused_in_one_line(folder, mask, delta, tmp_path, caplog):
    told = refused(caplog, tmp_path, "--model", folder, "--mask", mask("e.parquet", sigma=50.0))
    assert "e.parquet: the mask is empty, there is no neuron to change; lower its sigma" in told
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    weights = load_file(other / "model.safetensors")
    next(iter(weights.values()))[0] += 1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    for option, path in (("--mask", mask()), ("--delta", delta)):
        told = refused(caplog, tmp_path, "--model", other, option, path)
        assert f"{path}: belongs to another model (LlamaForCausalLM, commit 0123abc" in told
    unknown = mask("u.parquet", shape=(3, 20), model=None)
    told = refused(caplog, tmp_path, "--model", folder, "--mask", unknown)
    assert "mask of shape (3, 20), the model has 3 layers of 24 neurons" in told
    empty = tmp_path / "none.safetensors"
    write_tensors(empty, {}, {"not_computed": "empty mask"})
    told = refused(caplog, tmp_path, "--model", folder, "--delta", empty)
    assert "holds no trained slices: empty mask" in told
    told = refused(caplog, tmp_path, "--model", folder, "--mask", mask(), "--scale", "nan")
    assert "--scale nan; expected a finite number" in told
    told = refused(caplog, tmp_path, "--model", tmp_path / "nowhere", "--mask", mask())
    assert "no such folder" in told
    told = refused(caplog, tmp_path, "--model", folder, "--mask", tmp_path / "nothing.parquet")
    assert "nothing.parquet: no such file" in told
    assert call("--model", folder, "--mask", mask(), "--out", tmp_path) == 2


def test_an_edited_mask_or_delta_is_refused(folder, mask, delta, tmp_path, caplog):
    for option, path, other in (("--mask", mask(), mask("b.parquet", sigma=1.0)),
                                ("--delta", delta, folder / "model.safetensors")):  # fmt: skip
        job = Job("build_mask", {}, "0", {}, {"mask": path})
        write_receipts(job, job.origin())
        shutil.copy(other, path)
        told = refused(caplog, tmp_path, "--model", folder, option, path)
        assert f"{path}: damaged or edited, its content is not what build_mask wrote" in told
        shutil.copy(
            path.with_name(f".{path.name}.receipt"), other.with_name(f".{other.name}.receipt")
        )
        told = refused(caplog, tmp_path, "--model", folder, option, other)
        assert f"was moved here with its receipt, which is of {path.name}" in told


def test_a_full_disk_leaves_nothing_behind(folder, mask, tmp_path, caplog, monkeypatch):
    from transformers import PreTrainedModel

    def full(self, path, **_):
        path.mkdir()
        (path / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    path = mask()
    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    told = refused(caplog, tmp_path, "--model", folder, "--mask", path)
    assert "No space left on device" in told and "free space or choose another folder" in told

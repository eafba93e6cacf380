"""docs/using-masks.md and examples/: what plain transformers does equals caploc's erasure."""

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from caploc import cli
from caploc.files import store
from caploc.files.masks import write_mask
from caploc.files.scores import _schema, _table
from caploc.forward.silencing import Erasure, Erasures, erased
from caploc.jobs.digests import file_digest, weights_digest
from caploc.measures.masks import outliers
from caploc.models.loading import load_model

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = REPOSITORY / "examples/erase_with_hooks.py"
GUIDE = (REPOSITORY / "docs/using-masks.md").read_text()
TEXT = torch.tensor([[1, 3, 5, 4, 9, 6], [1, 8, 8, 4, 3, 7]])
GRID = (3, 24)


def scores_with(*places, seed=0):
    scores = np.random.default_rng(seed).normal(size=GRID)
    for layer, neuron in places:
        scores[layer, neuron] += 60
    return scores.astype(np.float32)


@pytest.fixture
def home(tmp_path, save_model, monkeypatch):
    """A folder like that of the default run: a model, two masks and the mean scores of one."""
    run = tmp_path / "results/default"
    folder = run / "models/smollm2/hf"
    folder.parent.mkdir(parents=True)
    save_model().rename(folder)
    weights = weights_digest({p.name: file_digest(p) for p in folder.iterdir()})
    for task, places in (("antonyms", [(0, 1), (0, 2), (2, 7)]), ("past-tense", [(0, 2)])):
        scores = scores_with(*places)
        path = run / f"masks/smollm2/{task}/cnl/s6.parquet"
        path.parent.mkdir(parents=True)
        # 72 neurons: none can lie 6 standard deviations out, so the threshold is lower here.
        facts = {"origin": {}, "model": {"model": "smollm2", "weights": weights}}
        write_mask(path, scores, {"sigma": 2.0}, facts)
        means = run / f"scores/smollm2/{task}/cnl.parquet"
        means.parent.mkdir(parents=True)
        schema = _schema(GRID[1])
        store.write_table(_table(schema, "all", -1, "", [(9, scores)]), means, {})
    monkeypatch.chdir(tmp_path)
    return run


@pytest.fixture
def script():
    spec = spec_from_file_location("erase_with_hooks", SCRIPT)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def wanted_logits(folder, located):
    """Logits under caploc's own erasure, and without it."""
    lm = load_model(folder)
    plain = lm.model(TEXT).logits
    rows = torch.zeros(len(TEXT), dtype=torch.long)
    with erased(lm, Erasures(lm, [Erasure(located)]), rows):
        return lm.model(TEXT).logits, plain


@torch.no_grad()
def test_hooks_applied_model_and_erasure_agree(home, script, tmp_path):
    folder, mask = home / "models/smollm2/hf", home / "masks/smollm2/antonyms/cnl/s6.parquet"
    located = script.read_mask(mask)
    assert located.sum() == 3
    wanted, plain = wanted_logits(folder, located)
    assert (wanted - plain).abs().max() > 1e-3
    model = AutoModelForCausalLM.from_pretrained(folder)
    handles = script.erase(model, located)
    assert torch.equal(model(TEXT).logits, wanted)
    for handle in handles:
        handle.remove()
    assert torch.equal(model(TEXT).logits, plain)
    assert cli.main(["apply", "--model", str(folder), "--mask", str(mask), "--out", "out"]) == 0
    applied = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(applied(TEXT).logits, wanted, rtol=0, atol=1e-6)


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE, flags=re.M | re.S)
    names = {"examples/": "examples", "--mask": "apply", "--delta": "delta"}
    return {next(n for sign, n in names.items() if sign in block): block for block in blocks}


@pytest.mark.parametrize("which", ["examples", "apply"])
def test_the_commands_of_the_page(home, tmp_path, which):
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "examples").symlink_to(SCRIPT.parent)
    done = subprocess.run(
        ["bash", "-c", commands()[which]], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path),
             "PYTHONPATH": str(REPOSITORY / "workflow")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if which == "examples":
        lines = done.stdout.splitlines()
        assert [line.split(":")[0] for line in lines] == ["as it is", "without     3 neurons"]
    else:
        assert (tmp_path / "erased/model.safetensors").is_file()


def test_the_notebook_blocks_of_the_page(home):
    """In order, in one namespace, as in a notebook."""
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE, flags=re.M | re.S)
    text = "\n".join(blocks).replace("sigma=6.0", "sigma=2.0")
    assert text.count("sigma=2.0") == 1
    namespace = {}
    exec(text, namespace)
    assert namespace["located"].sum() == 3
    assert (outliers(namespace["scores"], sigma=2.0) == namespace["located"]).all()


@torch.no_grad()
def test_the_hooks_of_the_page_equal_the_erasure(home):
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE, flags=re.M | re.S)
    (hooks,) = [block for block in blocks if "register_forward_pre_hook" in block]
    before, after = hooks.split("# ... whatever you measure; then\n")
    namespace = {}
    exec(blocks[0] + before, namespace)
    folder = home / "models/smollm2/hf"
    wanted, plain = wanted_logits(folder, namespace["located"])
    assert torch.equal(namespace["model"](TEXT).logits, wanted)
    exec(after, namespace)
    assert torch.equal(namespace["model"](TEXT).logits, plain)

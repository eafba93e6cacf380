"""SIGKILL of a real process inside a shard and inside a training: what is done stays done.

The process (dying.py) kills itself in the middle of a group of samples, or of a step, so that the
moment is known; nothing runs after it, no handler and no `finally`. Runs that live to their end are
made in the process of the tests, which has loaded torch before.
"""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import dying
import pyarrow as pa
from documented import TEXT

from caploc import cli
from caploc.files import store
from caploc.stages import attribute_shard
from caploc.training import loop

METHOD = {"locator": "cnl", "site": "post", "rule": "inclusive", "steps": 3,
          "max_answer_tokens": 2, "batch_rows": 200}  # fmt: skip
HERE = Path(__file__).parent


def run(monkeypatch, name, stop, arguments):
    """Status, and how many pieces of work were begun; in a process of its own if it is killed."""
    if not stop:
        with monkeypatch.context() as patched:
            begun = getattr(dying, name)(0, patched.setattr)
            for key in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "POLARS_MAX_THREADS"):
                patched.setenv(key, "1")  # the command sets them: put back afterwards
            return cli.main(arguments), len(begun)
    done = subprocess.run(
        [sys.executable, HERE / "dying.py", name, str(stop), *arguments], capture_output=True,
        text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.returncode, len(done.stdout.split())


def test_a_shard_goes_on_at_the_border_of_a_group(tmp_path, save_model, monkeypatch):
    save_model()
    manifest = {"model": "tiny", "path": "hf", "repo": None, "revision": None, "n_layers": 3,
                "n_neurons": 24, "family": "llama", "architecture": "LlamaForCausalLM",
                "n_parameters": 1}  # fmt: skip
    store.write_json(manifest, tmp_path / "manifest.json")
    rows = {"sample_id": [f"s{i}" for i in range(8)], "prompt": ["one + two ="] * 8,
            "answer": [" three", " four"] * 4, "meta": ["{}"] * 8}  # fmt: skip
    store.write_table(pa.table(rows), tmp_path / "locate.parquet", {"origin": {}})
    spec = {"model": "tiny", "task": "sums", "family": "llama", "dtype": "float32",
            "device": "cpu", "method": METHOD, "shard": 0, "shard_size": 100,
            "seed": 0}  # fmt: skip

    def call(name, stop):
        return run(monkeypatch, "shard", stop, [
            "attribute_shard", "--spec", json.dumps(spec), "--code", "0",
            "--input", f"manifest={tmp_path}/manifest.json",
            "--input", f"samples={tmp_path}/locate.parquet",
            "--output", f"scores={tmp_path}/{name}/shard.parquet",
        ])  # fmt: skip

    assert call("whole", 0) == (0, 4)
    assert call("killed", 3) == (-signal.SIGKILL, 3)
    kept = (tmp_path / "killed/.shard.parquet.work").glob("*.parquet")
    assert sorted(p.name for p in kept) == ["000000.parquet", "000002.parquet"]
    assert not (tmp_path / "killed/shard.parquet").exists()
    # The third group is done once more, the first two are not.
    assert call("killed", 0) == (0, 2)
    whole, killed = (tmp_path / name / "shard.parquet" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()
    assert [p.name for p in sorted((tmp_path / "killed").iterdir())] == [
        ".shard.parquet.receipt", "shard.parquet",
    ]  # fmt: skip


def test_a_training_goes_on_after_its_checkpoint(tmp_path, monkeypatch):
    spec = {
        "model": "toy", "seed": 0,
        "architecture": {
            "layers": 2, "hidden": 32, "ffn": 48, "heads": 4, "kv_heads": 2, "context": 64,
        },
        "train": {"steps": 14, "batch": 8, "learning_rate": 5e-3, "warmup": 5,
                  "mixture": {"emotions": 1, "facts": 1}},
    }  # fmt: skip

    def call(name, stop):
        folder = tmp_path / name
        return run(monkeypatch, "training", stop, [
            "train_model", "--spec", json.dumps(spec), "--code", "0",
            "--output", f"manifest={folder}/manifest.json",
            "--output", f"loss={folder}/loss.parquet",
            "--output", f"prompts={folder}/training_prompts.parquet",
        ])  # fmt: skip

    assert call("whole", 0) == (0, 14)
    assert call("killed", 8) == (-signal.SIGKILL, 8)
    assert not (tmp_path / "killed/manifest.json").exists()
    # Five steps are in the checkpoint: three are lost, one interval at most.
    assert call("killed", 0) == (0, 9)
    for name in (
        "manifest.json",
        "loss.parquet",
        "training_prompts.parquet",
        "hf/model.safetensors",
    ):
        whole, killed = (tmp_path / run / name for run in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes(), name


def test_the_page_says_what_a_kill_costs():
    """The group of samples and the steps between checkpoints, which the tests above make small."""
    (numbers,) = re.findall(r"at most (\d+) steps, a shard of attributions at most (\d+) samples",
                            TEXT)  # fmt: skip
    costs = (loop._STEPS_BETWEEN_CHECKPOINTS, attribute_shard._GROUP)
    assert numbers == tuple(map(str, costs))

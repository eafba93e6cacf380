"""What `caploc plan` says against what runs took: `python benchmarks/plan.py`.

The run of config/embedded.yaml is compared with `results/workflow_avx2.json`, which `workflow.py`
measured when that was the default run, on the kind of machine by which the constants of time were
chosen (two jobs side by side, by the clock).
The size of an activation was chosen by the peak of the medium model here (8 layers, hidden 512,
random weights), the bytes beside the numbers by the small run. Each job of the small run and of the
medium model is run here on its own with one thread, in a copy, and its processor seconds and
largest resident memory are the kernel's. Disk is what the folder of the run holds in the end.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import yaml

from caploc.commands.verify import planned as planned_jobs
from caploc.jobs.job import Job
from machine import RESULTS, save

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
EMBEDDED = "config/embedded.yaml"
MEDIUM_SHAPE = {"layers": 8, "hidden": 512, "ffn": 1376, "heads": 8, "kv_heads": 8}
MEDIUM: dict[str, Any] = {
    "run": {
        "name": "medium", "models": ["medium"], "tasks": ["word-problems", "emotions"],
        "masks": ["s3", "s6"], "headline_mask": "s3", "converged_samples": 20, "pairs": [],
        "shuffled": False, "shard_size": 60, "experiments": ["erasure", "enhancement"],
    },
    "tasks": {
        name: {"samples": {"locate": 60, "train": 48, "validation": 20, "test": 20}}
        for name in ("word-problems", "emotions", "neutral")
    },
    "experiments": {
        "erasure": {
            "samples": 20, "draws": 19, "exploratory_draws": 5, "answered": 10,
            "answered_draws": 1, "weighing_samples": 20, "dose": [0.01], "dose_draws": 1,
        },
        "enhancement": {
            "tasks": ["word-problems"], "masks": ["s3"], "arms": ["located", "layer", "rest"],
            "draws": 1, "epochs": [1, 2], "batch": 16, "rates": [0.001], "train_samples": 48,
            "test_samples": 20,
        },
    },
}  # fmt: skip


def make_medium(folder: Path, tokenizer: Path) -> Path:
    """A random model with the words of the generated tasks, and the run that studies it."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    words = AutoTokenizer.from_pretrained(tokenizer)
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=8, hidden_size=512, intermediate_size=1376, num_attention_heads=8,
        num_key_value_heads=8, vocab_size=len(words), max_position_embeddings=128,
        initializer_range=0.05, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "medium")
    words.save_pretrained(folder / "medium")
    shape = MEDIUM_SHAPE | {"vocabulary": len(words)}
    model = {"family": "llama", "path": str(folder / "medium"), "shape": shape}
    path = folder / "medium.yaml"
    path.write_text(yaml.safe_dump(MEDIUM | {"models": {"medium": model}}))
    return path


def commands(folder: Path, *config: str) -> Iterator[list[str]]:
    """Every job of a run as words, in an order in which their inputs are there."""
    with chdir(folder):
        waiting = list(planned_jobs([*config]))
    outputs = {path for job in waiting for path in job.outputs.values()}
    made: set[Path] = set()
    while waiting:
        ready = [
            job for job in waiting
            if {path for paths in job.inputs.values() for path in paths} & outputs <= made
        ]  # fmt: skip
        assert ready, "jobs wait for each other"
        for job in ready:
            yield words_of(job)
            made |= set(job.outputs.values())
        waiting = [job for job in waiting if job not in ready]


def words_of(job: Job) -> list[str]:
    """What the rule of a job calls, with one thread."""
    words = [job.stage, "--threads", "1", "--spec", json.dumps(job.spec), "--code", job.code]
    for name, (first, *more) in {n: paths or [""] for n, paths in job.inputs.items()}.items():
        words += ["--input", f"{name}={first}", *map(str, more)]
    for name, path in job.outputs.items():
        words += ["--output", f"{name}={path}"]
    return words


def run_alone(folder: Path, words: list[str]) -> tuple[float, float]:
    """Run one job; processor seconds, MiB."""
    # The copy's own library: the checkout may change meanwhile.
    environment = os.environ | {"PYTHONPATH": str(folder / "workflow")}
    process = subprocess.Popen([PROGRAMS / "caploc", *words], cwd=folder, env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, words
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10


def measured(folder: Path, *config: str) -> dict[str, dict[str, float]]:
    """Jobs, processor seconds and memory by stage."""
    found: dict[str, dict[str, float]] = {}
    for words in commands(folder, *config):
        processor, mib = run_alone(folder, words)
        entry = found.setdefault(words[0], {"jobs": 0, "seconds": 0.0, "mib": 0.0})
        entry["jobs"] += 1
        entry["seconds"] += processor
        entry["mib"] = max(entry["mib"], mib)
        print(f"{words[0]}: {processor:.1f} s, {mib:.0f} MiB", file=sys.stderr)
    return found


def planned(folder: Path, *config: str) -> dict[str, dict[str, float]]:
    """What the command says, before the run is there."""
    text = subprocess.run([PROGRAMS / "caploc", "plan", "--json", *config], cwd=folder,
                          check=True, capture_output=True, text=True).stdout  # fmt: skip
    return {stage["name"]: stage for stage in json.loads(text)["stages"]}


def compared(plan: dict[str, Any], real: dict[str, Any], disk: float | None) -> dict[str, Any]:
    """Ratios of planned to measured."""
    stages = {}
    for name, one in real.items():
        if plan[name]["accelerator_bytes"] is None:
            continue  # no model: start-up alone, below a second for each job
        mib = one.get("mib", one.get("peak_mib"))
        stages[name] = {
            "jobs": [plan[name]["jobs"], one["jobs"]],
            "seconds": [round(plan[name]["seconds"], 1), round(one["seconds"], 1)],
            "time_ratio": round(plan[name]["seconds"] / one["seconds"], 2),
            "mib": [round(plan[name]["host_bytes"] / 2**20), round(mib)],
            "memory_ratio": round(plan[name]["host_bytes"] / 2**20 / mib, 2),
        }
    total = [sum(s["seconds"][i] for s in stages.values()) for i in (0, 1)]
    largest = [max(s["mib"][i] for s in stages.values()) for i in (0, 1)]
    result: dict[str, Any] = {
        "seconds": [round(t, 1) for t in total],
        "time_ratio": round(total[0] / total[1], 2),
        "largest_process_mib": largest,
        "memory_ratio": round(largest[0] / largest[1], 2),
    }
    if disk is not None:
        said = sum(s["disk_bytes"] for s in plan.values())
        result |= {"disk_mib": [round(said / 2**20, 2), round(disk / 2**20, 2)],
                   "disk_ratio": round(said / disk, 2)}  # fmt: skip
    return result | {"stages": stages}


def bytes_of(folder: Path) -> float:
    """Of every file in a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def main() -> None:
    embedded = json.loads((RESULTS / "workflow_avx2.json").read_text())["stages"]
    found = {"embedded (clock, two jobs at once; the constants were chosen by it)":
             compared(planned(REPOSITORY, EMBEDDED), embedded, None)}  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "caploc"
        folder.mkdir()
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(REPOSITORY / name, folder / name)
        for name in ("config", "workflow", "profiles", "envs"):
            shutil.copytree(REPOSITORY / name, folder / name)
        for run in ("test", "medium"):
            config = ["config/test.yaml"]
            if run == "medium":
                hf = folder / "results/test/models/tiny/hf"
                config = [EMBEDDED, str(make_medium(Path(scratch), hf))]
            plan = planned(folder, *config)
            real = measured(folder, *config)
            disk = bytes_of(folder / "results" / run)
            found[f"{run} (processor seconds, one job at a time)"] = compared(plan, real, disk)
    path = save("plan", {"what": "planned, measured", "runs": found})
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()

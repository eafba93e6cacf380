"""Large graphs, many shards, many samples: `python benchmarks/load.py`.

A dry run of 3,000 jobs, in turns with one of as many jobs that have nothing but a file each, which
is what Snakemake itself takes; 200 shards of a tiny model scored one after another in one process,
whose memory must not grow; means of 100,000 samples of a small grid.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from aggregation import measure as measure_aggregation
from aggregation import write_synthetic
from faults import SNAKEMAKE, copy_workflow
from machine import save

MANY_JOBS = {
    "run": {"name": "many", "shard_size": 5, "methods": ["cnl", "second"]},
    "methods": {"second": {"locator": "cnl", "steps": 5}},
}
OURS = ("--configfile", "embedded.yaml", "many.yaml")
# Half of the jobs make a file, half read one: the least that a graph of n jobs can be.
BARE = """
rule all:
    input: expand("out/{i}", i=range(%d))
rule make:
    output: "made/{i}"
    shell: "touch {output}"
rule read:
    input: "made/{i}"
    output: "out/{i}"
    shell: "cp {input} {output}"
"""
# Scores shards in one process and prints its memory in kB after each.
SHARDS = """
import json, sys
from pathlib import Path
import pyarrow as pa
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from caploc.files import store
from caploc.jobs.job import Job
from caploc.stages import attribute_shard
folder, n = Path(sys.argv[1]), int(sys.argv[2])
words = ["<unk>", "one", "two", "three", "four", "=", "+"]
tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
torch.manual_seed(0)
config = LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=2, vocab_size=7,
                     num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32)
LlamaForCausalLM(config).save_pretrained(folder / "hf")
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
fast.save_pretrained(folder / "hf")
store.write_json({"model": "tiny", "path": "hf", "n_layers": 2, "n_neurons": 24, "family": "llama",
                  "architecture": "LlamaForCausalLM"}, folder / "manifest.json")
rows = [f"s{i}" for i in range(4 * n)]
store.write_table(pa.table({"sample_id": rows, "prompt": ["one + two ="] * len(rows),
                            "answer": [" three", " four"] * (len(rows) // 2)}),
                  folder / "locate.parquet", {"origin": {}})
method = {"locator": "cnl", "site": "post", "rule": "inclusive", "steps": 3,
          "max_answer_tokens": 2, "batch_rows": 200}
for shard in range(n):
    spec = {"model": "tiny", "task": "sums", "family": "llama", "dtype": "float32",
            "device": "cpu", "method": method, "shard": shard, "shard_size": 4, "seed": 0}
    inputs = {"manifest": [folder / "manifest.json"], "samples": [folder / "locate.parquet"]}
    output = folder / f"shards/shard-{shard:04d}.parquet"
    attribute_shard.run(Job("attribute_shard", spec, "0", inputs, {"scores": output}))
    pages = int(open("/proc/self/statm").read().split()[1])
    print(pages * 4, flush=True)
"""


# Prints seconds and processor seconds of a command, after what the command printed.
TIMED = """
import resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=sys.stdout, stderr=sys.stdout)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - start, used.ru_utime + used.ru_stime)
sys.exit(done.returncode)
"""


def dry_run(folder: Path, *arguments: str) -> tuple[str, float, float]:
    """What a dry run of the large graph prints, its seconds and its processor seconds."""
    command = [SNAKEMAKE, "--cores", "2", "--dry-run", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", TIMED, *map(str, command)],
        cwd=folder, capture_output=True, text=True,
        env=environment | {"PYTHONPATH": str(folder / "workflow")},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr)
    wall, processor = map(float, done.stdout.split()[-2:])
    return done.stdout, wall, processor


def large_graph(folder: Path) -> tuple[Path, int]:
    """A workflow of some thousand jobs of which none has run, and how many they are."""
    workflow = copy_workflow(folder)
    (workflow / "many.yaml").write_text(yaml.safe_dump(MANY_JOBS))
    text, _, _ = dry_run(workflow, *OURS)
    return workflow, int(re.findall(r"^total +(\d+)$", text, flags=re.M)[0])


def bare_graph(folder: Path, jobs: int) -> Path:
    """A workflow of so many jobs that Snakemake has as little as possible to do for each."""
    folder.mkdir()
    (folder / "Snakefile").write_text(BARE % (jobs // 2))
    return folder


def shard_memory(folder: Path, n: int) -> list[float]:
    """MiB of one process after each of n shards."""
    done = subprocess.run(
        [sys.executable, "-c", SHARDS, str(folder), str(n)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [int(line) / 1024 for line in done.stdout.split()]


def aggregation_memory(folder: Path, n_samples: int) -> tuple[float, float]:
    """Seconds and peak MiB of the means of n samples of 2 layers of 32 neurons."""
    shard = folder / f"shard-{n_samples}.parquet"
    write_synthetic(shard, n_samples, 2, 32)
    seconds, _, peak = measure_aggregation(shard, 2)
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        workflow, jobs = large_graph(root / "graph")
        bare = bare_graph(root / "bare", jobs)
        runs, alone = [], []
        for _ in range(options.runs):
            runs.append(dry_run(workflow, "--quiet", "all", *OURS))
            alone.append(dry_run(bare, "--quiet", "all"))
        seconds, busy = [run[1] for run in runs], [run[2] for run in runs]
        memory = shard_memory(root, 200)
        few, many = (aggregation_memory(root, n) for n in (10_000, 100_000))
    path = save(
        "load",
        {
            "jobs": jobs,
            "dry_run_seconds": [round(s, 2) for s in seconds],
            "dry_run_seconds_median": round(statistics.median(seconds), 2),
            "dry_run_processor_seconds": [round(s, 2) for s in busy],
            "dry_run_seconds_median_of_as_many_jobs_of_one_file": round(
                statistics.median(run[1] for run in alone), 2
            ),
            "shards": len(memory),
            "memory_mib_after_20_100_200_shards": [round(memory[i - 1]) for i in (20, 100, 200)],
            "means_of_samples": {
                str(n): {"seconds": round(found[0], 1), "peak_mib": round(found[1])}
                for n, found in ((10_000, few), (100_000, many))
            },
        },
    )
    sys.stdout.write(json.dumps(json.loads(path.read_text()), indent=1) + "\n")


if __name__ == "__main__":
    main()

"""The small run from nothing: every rule, every table, and nothing left to do afterwards."""

import csv
import json
import subprocess

import polars as pl
import pytest
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from warm import programs
from workflow_rules import read_rules

pytestmark = pytest.mark.workflow

TABLES = (
    "agreement", "neurons", "base", "samples", "completeness", "erasure", "cross_erasure",
    "cross_overlap", "enhancement", "cross_enhancement", "fidelity", "tracing",
    "reliability", "decoupling",
)  # fmt: skip
PLANTING = {
    "plant_model", "check_plant", "measure_effects", "score_plant", "rank_plant", "check_null",
    "tabulate_known_answer", "write_known_answer",
}  # fmt: skip


@pytest.fixture(scope="module")
def results(finished):
    return finished.folder / "results" / "test"


def test_every_table_is_written_in_both_formats(results):
    for name in TABLES:
        csv = pl.read_csv(results / f"tables/{name}.csv")
        parquet = pl.read_parquet(results / f"tables/{name}.parquet")
        assert csv.columns == parquet.columns
        assert len(csv) == len(parquet) > 0


def test_every_rule_ran(finished):
    ran = {path.name.removesuffix(".log") for path in (finished.folder / "logs/test").iterdir()}
    # tests/workflow/test_real_input.py fetches, test_known_answer_run.py plants.
    assert ran == read_rules().keys() - {"fetch_model"} - PLANTING


def test_the_model_is_an_ordinary_hugging_face_folder(results):
    folder = results / "models/tiny/hf"
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.architectures == ["LlamaForCausalLM"]
    ids = tokenizer("ann has 3 apples", return_tensors="pt").input_ids
    assert model(ids).logits.shape[:2] == ids.shape
    assert load_file(folder / "model.safetensors")


def test_splits_share_no_prompt_with_each_other_or_the_training_text(results):
    check = json.loads((results / "samples/disjoint.json").read_text())
    prompts = {}
    for path in (results / "samples").glob("*/*.parquet"):
        if ".shuffled" not in str(path):
            prompts[path] = {
                " ".join(p.split()).casefold() for p in pl.read_parquet(path)["prompt"]
            }
    paths = sorted(prompts)
    assert len(paths) == 16
    for i, a in enumerate(paths):
        for b in paths[i + 1 :]:
            if a.parent == b.parent:
                assert not prompts[a] & prompts[b], (a, b)
    assert check


def test_a_second_call_has_nothing_to_do(finished):
    assert finished.planned() == {}
    assert "Nothing to be done" in finished.run()


def test_tables_are_targets_of_their_own(fresh):
    assert "tabulate_neurons" in fresh.planned("tabulate_neurons")
    planned = fresh.planned("results/test/tables/agreement.csv")
    assert "write_report" not in planned
    assert planned["tabulate_agreement"] == 1


def test_forced_rule_and_what_follows(finished):
    planned = finished.planned("--forcerun", "build_mask")
    assert planned["build_mask"] == 6
    assert "attribute_shard" not in planned


def test_the_default_config_plans_every_job(fresh):
    planned = fresh.planned(config=None)
    assert planned["attribute_shard"] == 11  # 10 tasks, neutral text
    assert planned["build_mask"] == 20  # of two thresholds
    assert planned["measure_agreement"] == 24  # 10 tasks, neutral text, mixture
    planned = fresh.planned(config="config/embedded.yaml")
    assert planned["attribute_shard"] == 17  # 8 tasks, 8 shuffled, neutral text
    assert planned["build_mask"] == 24
    assert planned["measure_agreement"] == 30


def test_a_run_compared_with_itself_has_every_row_once(finished, tmp_path):
    """Also: the identifying columns of every table tell all its rows apart."""
    run = finished.folder / "results/test"
    done = subprocess.run(
        [programs() / "bin/caploc", "compare", run, run, "--out", tmp_path / "both"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (tmp_path / "both.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert all(float(row["difference"] or 0) == 0 for row in rows)
    for path in sorted((run / "tables").glob("*.csv")):
        with path.open(newline="") as handle:
            reader = csv.DictReader(handle)
            own = [row for row in reader if not row.get("neuron")]
        if "value" not in (reader.fieldnames or ()):
            continue  # a table of texts
        assert sum(row["table"] == path.stem for row in rows) == len(own), path.stem

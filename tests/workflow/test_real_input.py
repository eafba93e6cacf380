"""The same rules on real records and a really pretrained model: masks, agreement, erasure."""

import json
import shutil

import polars as pl
import pytest
import yaml

from caploc.files.masks import read_mask

pytestmark = [pytest.mark.workflow, pytest.mark.shared]

SAMPLES = {"locate": 40, "train": 10, "validation": 10, "test": 10}


@pytest.fixture(scope="module")
def real(tmp_path_factory, fresh, shared):
    """The workflow on GSM8K, movie reviews, emotions, code and stories, with stories260K."""
    folder = tmp_path_factory.mktemp("real") / "caploc"
    shutil.copytree(fresh.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    workflow = type(fresh)(folder)
    data = shared / "data"
    stories = folder / "stories.jsonl"
    texts = json.loads((data / "tinystories/tinystories.json").read_text())
    stories.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    tasks = {
        "gsm8k": {
            "plugin": "gsm8k",
            "files": {
                "train": str(data / "gsm8k/train.jsonl"), "test": str(data / "gsm8k/test.jsonl"),
            },
        },
        "movies": {
            "plugin": "generic",
            "format": "text",
            "files": {
                "positive": str(data / "movie_polarity/rt-polarity.pos"),
                "negative": str(data / "movie_polarity/rt-polarity.neg"),
            },
            "prompt": "Review: {text}\nSentiment:",
            "answer": " {split}",
        },
        "feelings": {
            "plugin": "emotion",
            "files": str(data / "goemotions_ekman/train.tsv"),
            "header": ["text", "label", "comment"],
            "labels": (data / "goemotions_ekman/labels.txt").read_text().split(),
        },
        "code": {
            "plugin": "generic",
            "files": str(data / "mbpp/mbpp.jsonl"),
            "prompt": "{text}\n",
            "answer": "{code}",
        },
        "stories": {"plugin": "plain_text", "files": str(stories)},
    }  # fmt: skip
    overlay = {
        "run": {
            "name": "real",
            "models": ["stories260k"],
            "tasks": [task for task in tasks if task != "stories"],
            "masks": ["s3"],
            "headline_mask": "s3",
            "neutral": "stories",
            "pairs": [],
            "experiments": ["erasure"],
            "shard_size": 40,
        },
        "models": {
            "stories260k": {"family": "llama", "path": str(shared / "models/stories260K")},
        },
        "tasks": {name: task | {"samples": SAMPLES} for name, task in tasks.items()},
        "methods": {"cnl": {"max_answer_tokens": 6}},
    }
    (folder / "real.yaml").write_text(yaml.safe_dump(overlay))
    workflow.run(config="real.yaml")
    return workflow, tasks


def test_masks_and_agreement_of_real_records(real):
    workflow, tasks = real
    results = workflow.folder / "results/real"
    agreement = pl.read_parquet(results / "tables/agreement.parquet")
    for task in tasks:
        if task != "stories":
            located = read_mask(results / f"masks/stories260k/{task}/cnl/s3.parquet")
            assert located.shape == (5, 172)
            assert 0 < located.sum() < 0.2 * located.size
        rows = agreement.filter(
            (pl.col("dataset") == task)
            & (pl.col("comparison") == "halves")
            & (pl.col("metric") == "overlap")
        ).sort("n_half")
        assert rows["n_half"].is_unique().all()
        assert rows["n_half"].max() >= 10  # of 40, some do not fit the context
        overlap = rows["value"].to_list()[-1]
        # Forty long texts are few: halves may share nothing. Short label tasks do share neurons.
        assert (0.2 if task in ("movies", "feelings") else 0) <= overlap <= 1


def test_records_that_do_not_fit_are_counted_with_the_reason(real):
    workflow, _ = real
    samples = pl.read_parquet(workflow.folder / "results/real/tables/samples.parquet")
    dropped = samples.filter((pl.col("metric") == "dropped") & (pl.col("dataset") == "gsm8k"))
    # stories260K reads 512 tokens of about two letters each: long problems do not fit
    assert dropped.filter(pl.col("reason").str.contains("context"))["value"].sum() > 0


def test_the_model_is_described_and_its_files_are_fingerprinted(real, shared):
    workflow, _ = real
    manifest = json.loads(
        (workflow.folder / "results/real/models/stories260k/manifest.json").read_text()
    )
    assert (manifest["n_layers"], manifest["n_neurons"]) == (5, 172)
    assert "model.safetensors" in manifest["files"]


def test_the_report_names_what_ran(real):
    workflow, _ = real
    page = (workflow.folder / "results/real/report.html").read_text()
    for word in ("stories260k", "gsm8k", "movies", "feelings"):
        assert word in page

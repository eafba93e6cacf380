"""All stages of planted models on a toy, and what their files say, checked by slower ways."""

import csv
import re
import shutil

import numpy as np
import pytest
import torch

from caploc.experiments.known_answer import (
    check_null,
    check_plant,
    measure_effects,
    plant_model,
    rank_plant,
    score_plant,
    tabulate_known_answer,
    write_known_answer,
)
from caploc.experiments.known_answer._layout import read_layout
from caploc.experiments.known_answer.table import KNOWN_ANSWER
from caploc.files import store
from caploc.forward.generation import complete
from caploc.forward.samples import raw_samples
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.locators import cnl
from caploc.measures.masks import outliers
from caploc.models.loading import load_model
from caploc.records import DataError
from caploc.stages import prepare_samples, shuffle_answers
from caploc.training import loop
from caploc.training.optimisation import optimise

PLUGINS = {"emotions": "emotions", "calculations": "calculations", "reviews": "reviews"}
PLANT = {
    "capabilities": ["emotions", "calculations"], "share": 0.1, "layers": None, "twice": [],
    "decoys": 0.04,
}  # fmt: skip
PLANTED = {
    "plant": "toy", "seed": 0,
    "architecture": {
        "layers": 2, "hidden": 32, "ffn": 80, "heads": 4, "kv_heads": 2, "context": 64,
    },
    "train": {
        "steps": 110, "batch": 16, "learning_rate": 5e-3, "warmup": 10,
        "mixture": {"emotions": 2, "calculations": 1, "reviews": 1, "neutral": 1},
    },
    "planting": PLANT,
    "plugins": {name: PLUGINS[name] for name in PLANT["capabilities"]},
}  # fmt: skip
SURGERY = {
    "plant": "toy", "seed": 0, "tasks": list(PLUGINS), "samples": 30, "draws": 2, "accuracy": 0.2,
    "tolerance": 1.0,
}  # fmt: skip
NAMED = {"plant": "toy", "seed": 0, "task": "emotions"}
LOCATORS = {
    "cnl": {"locator": "cnl", "steps": 4},
    "size": {"locator": "activation_size"},
    "entropy": {"locator": "activation_entropy"},
    "random": {"locator": "random_order"},
}


def job(stage, spec, inputs, outputs):
    many = {k: v if isinstance(v, list) else [v] for k, v in inputs.items()}
    return Job(stage, spec, "0" * 16, many, outputs, 1)


def plant(folder, spec=PLANTED):
    outputs = {
        "manifest": folder / "manifest.json", "sets": folder / "sets.parquet",
        "loss": folder / "loss.parquet",
    }  # fmt: skip
    plant_model.run(job("plant_model", spec, {}, outputs))
    return outputs


class Files:
    """The toy and everything made from it."""

    def __init__(self, folder):
        self.folder = folder
        self.planted = plant(folder / "model")
        for task, plugin in (PLUGINS | {"neutral": "neutral"}).items():
            sizes = {"locate": 40, "train": 10, "validation": 10, "test": 30}
            prepare_samples.run(
                job(
                    "prepare_samples",
                    {"task": task, "plugin": plugin, "seed": 0, "samples": sizes},
                    {}, {s: self.samples(task, s) for s in sizes},
                )
            )  # fmt: skip
        self.check = self.make(
            check_plant, SURGERY, {"samples": [self.samples(t, "test") for t in PLUGINS]}, "check",
            "json",
        )  # fmt: skip
        spec = NAMED | {"samples": 10, "subsets": 3, "batch_tokens": 2048}
        test = self.samples("emotions", "test")
        self.effects = self.make(measure_effects, spec, {"samples": test}, "effects")
        spec = NAMED | {"tasks": ["calculations", "reviews"], "neutral": True, "samples": 20,
                        "locators": LOCATORS, "curve": [5]}  # fmt: skip
        locate = {"own": self.samples("emotions", "locate"),
                  "others": [self.samples(t, "locate") for t in spec["tasks"]],
                  "neutral": self.samples("neutral", "locate")}  # fmt: skip
        self.scores = self.make(score_plant, spec, locate, "scores")
        shuffled = folder / "shuffled.parquet"
        shuffle_answers.run(
            job("shuffle_answers", {"task": "emotions", "seed": 0}, {"samples": locate["own"]},
                {"samples": shuffled})
        )  # fmt: skip
        spec = NAMED | {"other": "calculations", "replicates": 40, "draws": 19, "levels": [0.1],
                        "calibration_samples": 2, "samples": 20, "sigma": 2.0,
                        "batch_tokens": 2048}  # fmt: skip
        inputs = {"locate": locate["own"], "test": test, "shuffled": shuffled,
                  "other": self.samples("calculations", "test")}  # fmt: skip
        self.null = self.make(check_null, spec, inputs, "part")
        self.ranking = self.rank("ranking", self.check)

    def samples(self, task, split):
        return self.folder / "samples" / task / f"{split}.parquet"

    def make(self, stage, spec, inputs, name, kind="parquet"):
        path = self.folder / f"{stage.__name__.rpartition('.')[2]}.{kind}"
        given = {k: self.planted[k] for k in ("manifest", "sets")} | inputs
        stage.run(job(stage.__name__.rpartition(".")[2], spec, given, {name: path}))
        return path

    def rank(self, name, check):
        spec = NAMED | {"sigmas": [2.0], "variants": {"cnl": ["per layer", "positive"]},
                        "least_effect": 0.0}  # fmt: skip
        inputs = {"check": check, "sets": self.planted["sets"], "scores": self.scores,
                  "effects": self.effects}  # fmt: skip
        path = self.folder / f"{name}.parquet"
        rank_plant.run(job("rank_plant", spec, inputs, {"part": path}))
        return path

    def table(self, parts, name="known_answer"):
        outputs = {k: self.folder / f"{name}.{k}" for k in ("csv", "parquet")}
        tabulate_known_answer.run(job("tabulate_known_answer", {}, {"parts": parts}, outputs))
        return outputs


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def lm(files):
    return load_model(files.planted["manifest"].parent / "hf")


def rows(path, **wanted):
    table = store.read_table(path).to_pylist()
    return [row for row in table if all(row[k] == v for k, v in wanted.items())]


def one(path, **wanted):
    (row,) = rows(path, **wanted)
    return row


# plant_model --------------------------------------------------------------------------------------


def test_the_manifest_describes_an_ordinary_model(files, lm):
    manifest = store.read_json(files.planted["manifest"])
    assert manifest["n_layers"] == lm.n_layers == 2 and manifest["n_neurons"] == lm.n_neurons == 80
    folder = files.planted["manifest"].parent / "hf"
    assert manifest["files"] == {p.name: file_digest(p) for p in folder.iterdir()}
    losses = store.read_table(files.planted["loss"])["loss"].to_pylist()
    assert len(losses) == 110 and np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])


def test_a_killed_training_goes_on_to_the_same_bytes(files, tmp_path, monkeypatch):
    def killed(*args, **kwargs):
        for number, step in enumerate(optimise(*args, **kwargs), start=1):
            yield step
            if number == 105:
                raise KeyboardInterrupt

    monkeypatch.setattr(loop, "optimise", killed)
    with pytest.raises(KeyboardInterrupt):
        plant(tmp_path)
    begun = []

    def watched(*args, **kwargs):
        begun.append(args[-2])
        yield from optimise(*args, **kwargs)

    monkeypatch.setattr(loop, "optimise", watched)
    again = store.read_json(plant(tmp_path)["manifest"])
    assert begun == [100]
    assert again["files"] == store.read_json(files.planted["manifest"])["files"]


def test_a_capability_outside_the_mixture_is_refused(tmp_path):
    with pytest.raises(DataError, match="'facts' is not among what the model is trained on"):
        plant(tmp_path, PLANTED | {"plugins": {"emotions": "emotions", "calculations": "facts"}})


def test_too_long_a_text_is_refused(tmp_path):
    spec = PLANTED | {"architecture": PLANTED["architecture"] | {"context": 12}}
    with pytest.raises(
        DataError, match=r"context is 12; raise models\.<id>\.architecture\.context"
    ):
        plant(tmp_path, spec)


# check_plant --------------------------------------------------------------------------------------


def test_right_answers_are_those_of_generation(files, lm):
    """Columns zeroed by hand, answers generated: the texts equal the gold answers."""
    check = store.read_json(files.check)
    layout = read_layout(files.planted["sets"])
    samples = raw_samples(files.samples("emotions", "test"))
    folder = files.planted["manifest"].parent / "hf"
    for name, grid in (
        ("as it is", None), ("emotions", layout.carrying("emotions")),
        ("calculations", layout.carrying("calculations")), ("shared", layout.of("shared")),
    ):  # fmt: skip
        model = load_model(folder)
        with torch.no_grad():
            for layer, p in enumerate(model.projections):
                if grid is not None:
                    p.weight[:, torch.from_numpy(grid[layer])] = 0
        said = dict(complete(model, [s.prompt for s in samples], [s.answer for s in samples], 8))
        right = sum(said[i].strip() == s.answer.strip() for i, s in enumerate(samples))
        assert check["accuracy"][name]["emotions"] == pytest.approx(right / len(samples))
    assert check["n_neurons"]["emotions"] == layout.carrying("emotions").sum() == 16
    assert {k for k in check["accuracy"] if "random" in k} == {
        f"{c}, random {k}" for c in PLANT["capabilities"] for k in range(2)
    }


def test_a_failed_check_is_a_row_and_no_ranking(files, tmp_path):
    spec = SURGERY | {"accuracy": 1.0}
    inputs = {"samples": [files.samples(t, "test") for t in PLUGINS]}
    given = {k: files.planted[k] for k in ("manifest", "sets")} | inputs
    path = tmp_path / "check.json"
    check_plant.run(job("check_plant", spec, given, {"check": path}))
    check = store.read_json(path)
    assert not check["usable"]["emotions"]
    part = files.rank("failed", path)
    row = one(part, metric="usable")
    assert row["value"] == 0.0
    reached = check["accuracy"]["as it is"]["emotions"]
    assert f"emotions is answered right in {reached:.3f} of the test samples" in row["note"]
    assert not [r for r in rows(part) if r["locator"]]
    table = files.table([part], "failed_table")["parquet"]
    assert not [r for r in rows(table) if r["seed"] is None]
    page = files.folder / "failed.html"
    write_known_answer.run(job("write_known_answer", {}, {"table": table}, {"page": page}))
    assert "no plant passed the surgery check" in page.read_text()


# measure_effects, score_plant, rank_plant ---------------------------------------------------------


def test_effects_of_planted_neurons_and_whole_sets(files):
    layout = read_layout(files.planted["sets"])
    single = [r for r in rows(files.effects) if r["neuron"] is not None]
    found = {(r["layer"], r["neuron"]) for r in single}
    assert found == {tuple(w) for w in np.argwhere(layout.carrying("emotions")).tolist()}
    sets = {r["kind"]: r["effect"] for r in rows(files.effects, neuron=None)}
    assert sets.keys() == {"planted", "shared", "loud", "cancelling", "negative"}
    assert sets["planted"] > 0.2
    assert abs(sets["loud"]) < 0.01 and abs(sets["cancelling"]) < 1e-4


def test_scores_are_means_of_the_first_samples(files, lm):
    samples = raw_samples(files.samples("emotions", "locate"), 20)
    single = np.stack([r.scores for r in cnl.locate(lm, samples, steps=4)])
    for n in (5, 20):
        stored = [r["scores"] for r in rows(files.scores, locator="cnl", n_samples=n)]
        assert np.array(stored) == pytest.approx(single[:n].mean(axis=0), rel=1e-5, abs=1e-9)
    counts = {(r["locator"], r["n_samples"]) for r in rows(files.scores)}
    assert counts == {("cnl", 5), ("cnl", 20), ("size", 5), ("size", 20), ("entropy", 20),
                      ("random", 20)}  # fmt: skip


def test_rankings_by_hand(files):
    layout = read_layout(files.planted["sets"])
    planted = layout.carrying("emotions")
    scores = np.array([r["scores"] for r in rows(files.scores, locator="cnl", n_samples=20)])
    distance = np.abs(scores - scores.mean())
    order = np.argsort(-distance.ravel())
    hits = planted.ravel()[order]
    precision = np.mean([hits[: i + 1].mean() for i in np.flatnonzero(hits)])
    named = {"locator": "cnl", "truth": "all planted", "n_samples": 20}
    row = one(files.ranking, metric="average_precision", **named)
    assert row["value"] == pytest.approx(precision) and row["n"] == 16
    assert one(files.ranking, metric="precision_at_n", **named)["value"] == hits[:16].mean()
    mask = outliers(scores, 2.0)
    found = one(files.ranking, metric="recall", sigma=2.0, rule="std", **named)
    assert found["value"] == pytest.approx((mask & planted).sum() / 16)
    shared = one(files.ranking, metric="share_of_first", locator="cnl", set="shared", n_samples=20)
    assert shared["value"] == layout.of("shared").ravel()[order[:16]].mean()
    names = {r["locator"] for r in rows(files.ranking)} - {""}
    assert names == {*LOCATORS, "cnl, per layer", "cnl, positive"}


def test_effective_neurons_are_a_truth_of_their_own(files):
    some = one(files.ranking, metric="effective")
    single = [r for r in rows(files.effects) if r["neuron"] is not None]
    assert some["n"] == 16
    assert some["value"] == sum(r["effect"] - 2 * r["error"] > 0 for r in single) > 0
    row = one(files.ranking, metric="roc_area", locator="size", truth="effective planted",
              n_samples=20)  # fmt: skip
    assert row["n"] == some["value"] and 0 <= row["value"] <= 1
    # Walk down the ranking; idle planted neurons are not there.
    size = np.array([r["scores"] for r in rows(files.scores, locator="size", n_samples=20)])
    used = {(r["layer"], r["neuron"]): r["effect"] - 2 * r["error"] > 0 for r in single}
    cells = sorted(np.ndindex(*size.shape), key=lambda cell: -size[cell])
    hits = [used.get(cell, False) for cell in cells if used.get(cell, True)]
    wanted = np.mean([np.mean(hits[: i + 1]) for i, hit in enumerate(hits) if hit])
    row = one(files.ranking, metric="average_precision_without_idle", locator="size", n_samples=20)
    assert row["value"] == pytest.approx(wanted) and row["n"] == sum(hits)


# check_null and the table -------------------------------------------------------------------------


def test_null_checks(files, lm):
    row = one(files.null, metric="calibration")
    assert row["n"] == 40 and row["ci_low"] <= 0.1 <= row["ci_high"]
    assert row["note"] == ("holds" if row["value"] <= row["ci_high"] else "does not hold")
    row = one(files.null, metric="specificity")
    assert row["ci_low"] <= row["value"] <= row["ci_high"]
    kinds = {r["rule"] for r in rows(files.null, metric="agreement")}
    assert kinds == {
        f"{m}, {a} answers" for m in ("trained", "untrained") for a in ("real", "shuffled")
    }
    base = one(files.null, metric="base_accuracy", rule="untrained, real answers")
    assert base["value"] < 0.5 and base["note"] == "at chance: no capability"


def test_effects_of_the_null_checks_are_falls_of_the_log_probability(files, lm):
    from caploc.experiments.enhancement._bench import log_probabilities
    from caploc.forward.samples import encoded

    texts = encoded(lm, raw_samples(files.samples("emotions", "test"), 6))
    grid = read_layout(files.planted["sets"]).carrying("emotions")
    found = check_null.falls(lm, texts, [grid], 2048)[0]
    before = log_probabilities(lm, texts)
    silenced = load_model(files.planted["manifest"].parent / "hf")
    with torch.no_grad():
        for layer, p in enumerate(silenced.projections):
            p.weight[:, torch.from_numpy(grid[layer])] = 0
    after = log_probabilities(silenced, texts)
    assert found == pytest.approx(np.subtract(before, after), abs=1e-4)


def test_the_table_averages_over_seeds(files, tmp_path):
    other = tmp_path / "other.parquet"
    table = store.read_table(files.ranking)
    at = table.schema.get_field_index
    changed = [
        r | {"seed": 1, "value": r["value"] and r["value"] / 2 if r["locator"] else r["value"]}
        for r in table.to_pylist()
    ]
    store.write_table(type(table).from_pylist(changed, table.schema), other, {"origin": {}})
    outputs = files.table([files.ranking, other, files.null], "two")
    found = store.read_table(outputs["parquet"])
    assert found.schema.names == list(KNOWN_ANSWER) and at("plant") == 0
    with outputs["csv"].open() as handle:
        assert len(list(csv.DictReader(handle))) == len(found)
    key = {"locator": "cnl", "truth": "all planted", "n_samples": 20, "metric": "roc_area"}
    value = one(files.ranking, **key)["value"]
    for dataset in ("emotions", ""):
        row = one(outputs["parquet"], seed=None, dataset=dataset, **key)
        assert row["value"] == pytest.approx(0.75 * value) and row["n"] == 2
        assert (row["ci_low"], row["ci_high"]) == (value / 2, value)
        assert row["interval"].startswith("range over")


def test_the_page_shows_every_locator(files):
    table = files.table([files.ranking, files.null])["parquet"]
    page = files.folder / "page.html"
    write_known_answer.run(job("write_known_answer", {}, {"table": table}, {"page": page}))
    text = page.read_text()
    assert "<title>Known answer" in text and "<svg" in text
    # Nothing from elsewhere: the only address is the name of the SVG language.
    assert set(re.findall(r"https?://[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}
    for name in (*LOCATORS, "cnl, per layer", "cnl, positive", "toy, 0, emotions"):
        assert name in text
    value = one(files.ranking, metric="average_precision", locator="size", n_samples=20,
                truth="all planted")["value"]  # fmt: skip
    assert f"{value:.2f}" in text


def test_a_damaged_file_of_sets_is_named(files, tmp_path):
    path = tmp_path / "sets.parquet"
    shutil.copy(files.planted["loss"], path)
    with pytest.raises(DataError, match=r"sets\.parquet: .*column 'layer' is missing"):
        read_layout(path)

"""From a model, samples and masks to the table `erasure`, in one process on a toy."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch
from manifests import write_manifest

from caploc.experiments.erasure import (
    erase_neurons,
    tabulate_erasure,
    tabulate_examples,
    weigh_neurons,
)
from caploc.files import store
from caploc.files.masks import read_mask
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.silencing import Erasure
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import DataError, Sample
from caploc.stages import aggregate_scores, build_mask
from caploc.stages.prepare_samples import samples_table

PLACE = {"family": "llama", "dtype": "float64", "device": "cpu"}
LETTERS = "abcdefghij"
SETTINGS = {
    "samples": 6, "draws": 9, "exploratory_draws": 2, "answered": 3, "answered_draws": 2,
    "answered_rows": 16, "modes": ["all", "answer", "mean"], "dose": [0.02, 0.2], "dose_draws": 2,
    "locators": ["activation-size", "task-neurons"], "shots": [0, 1], "batch_tokens": 64,
}  # fmt: skip
SIGMAS = {"s1": 1.5, "s2": 2.5, "s9": 9.0}


def write_samples(path, n, seed):
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(n):
        words = rng.choice(list(LETTERS), 4)
        samples.append(Sample(f"s{i}", " ".join(words[:3]), f" {words[3]} one"))
    if path.name == "test":
        samples[0] = Sample("long", " ".join(["a"] * 40), " b")
    store.write_table(samples_table(samples), path, {})
    return path


@pytest.fixture
def finished(make_job, write_shard, save_model, tmp_path):
    """Every file of one task; mask s9 is empty."""
    folder = save_model()
    manifest = tmp_path / "manifest.json"
    write_manifest(manifest, folder)
    scores = np.random.default_rng(0).normal(size=(24, 3, 24)).astype(np.float32)
    scores[:, 1, 7] += 4
    scores[:, 0, 2] -= 4
    scores[:, 2, 3] += 3
    files = {"scores": tmp_path / "scores"}
    spec = {"model": "m", "task": "t", "method": "cnl", "n_splits": 2, "min_samples": 20, "seed": 0}
    shard = write_shard("shard", scores, task="t")
    aggregate_scores.run(make_job("aggregate_scores", spec, {"shards": [shard]}, files))
    masks = []
    for mask, sigma in SIGMAS.items():
        masks.append(tmp_path / f"{mask}.parquet")
        rule = {"sigma": sigma, "dispersion": "std", "per_layer": False, "sign": "both"}
        spec = {"model": "m", "task": "t", "method": "cnl", "mask": mask} | rule
        inputs = {"scores": [files["scores"]]}
        build_mask.run(make_job("build_mask", spec, inputs, {"mask": masks[-1]}))
    splits = {name: [write_samples(tmp_path / name, 8, i)]
              for i, name in enumerate(("locate", "test", "train", "neutral"))}  # fmt: skip
    weights = tmp_path / "weights"
    spec = {
        "model": "m",
        "tasks": ["t"],
        "neutral": "n",
        "samples": 5,
        "seed": 0,
        "locators": ["activation-size", "gradient-activation", "task-neurons"],
    } | PLACE
    inputs = {"manifest": [manifest], "samples": splits["locate"], "neutral": splits["neutral"]}
    weigh_neurons.run(make_job("weigh_neurons", spec, inputs, {"weights": weights}))
    spec = PLACE | SETTINGS | {
        "model": "m", "task": "t", "plugin": "number_words", "labels": None, "method": "cnl",
        "neutral": "n", "masks": list(SIGMAS), "headline": "s2", "seed": 0,
    }  # fmt: skip
    inputs = {"manifest": [manifest], "weights": [weights], "scores": [files["scores"]],
              "masks": masks, "test": splits["test"], "train": splits["train"],
              "neutral": splits["neutral"]}  # fmt: skip
    outputs = {name: tmp_path / f"{name}.out" for name in ("likelihood", "answers", "sets")}
    job = make_job("erase_neurons", spec, inputs, outputs)
    erase_neurons.run(job)
    return job


def tabulate(job, make_job, tmp_path, minimum=3):
    spec = {"headline": "s2", "seed": 0, "minimum_samples": minimum, "sigmas": SIGMAS}
    inputs = {name: [path] for name, path in job.outputs.items()}
    out = {"csv": tmp_path / "table.csv", "parquet": tmp_path / "table.parquet"}
    tabulate_erasure.run(make_job("tabulate_erasure", spec, inputs, out))
    return store.read_table(out["parquet"]).to_pylist()


def test_examples_are_the_first_questions(finished, make_job, tmp_path):
    inputs = {"answers": [finished.outputs["answers"]], "test": [finished.input("test")]}
    out = {"csv": tmp_path / "examples.csv", "parquet": tmp_path / "examples.parquet"}
    spec = {"headline": "s2", "questions": 2}
    tabulate_examples.run(make_job("tabulate_examples", spec, inputs, out))
    rows = store.read_table(out["parquet"]).to_pylist()
    samples = store.read_table(finished.input("test")).to_pylist()[1:3]  # the first is too long
    assert [r["prompt"] for r in rows] == [s["prompt"] for s in samples]
    said = store.read_table(finished.outputs["answers"]).to_pylist()
    for row in rows:
        assert (row["model"], row["dataset"], row["method"], row["mask"]) == ("m", "t", "cnl", "s2")
        where = {"sample_id": row["sample_id"], "shots": 0, "mode": "all", "share": None}
        located = {"arm": "located", "mask": "s2"}
        for name, arm in (("unchanged", {"arm": "base"}), ("located", located | {"control": ""}),
                          ("random", located | {"control": "matched", "draw": 0})):  # fmt: skip
            (one,) = (s for s in said if all(s[k] == v for k, v in (where | arm).items()))
            assert row[name] == one["completion"]


def cell(rows, metric, **where):
    where = {"dataset": "t", "mask": "s2", "arm": "located", "mode": "all", "control": "",
             "share": None, "shots": 0} | where  # fmt: skip
    found = [r for r in rows if r["metric"] == metric and all(r[k] == v for k, v in where.items())]
    assert len(found) == 1, (metric, where, [r for r in rows if r["metric"] == metric][:3])
    return found[0]


def test_the_table_says_what_the_model_does(finished, make_job, tmp_path):
    rows = tabulate(finished, make_job, tmp_path)
    lm = load_model(tmp_path / "hf", dtype="float64")
    table = store.read_table(finished.input("test")).to_pylist()[1:6]  # the first is too long
    pairs = [encode(lm.tokenizer, r["prompt"], r["answer"]) for r in table]
    located = read_mask(tmp_path / "s2.parquet")
    assert 0 < located.sum() < 6
    parts = answer_likelihood(
        lm, [p for p, _ in pairs], [a for _, a in pairs],
        [Erasure(located & False), Erasure(located)],
    )  # fmt: skip
    logprob, n_tokens = np.zeros((2, 5)), np.zeros(5)
    for chosen, part in parts:
        logprob[:, chosen], n_tokens[chosen] = part.logprob, part.n_tokens
    fall = ((logprob[0] - logprob[1]) / n_tokens).mean()
    assert cell(rows, "logprob_fall")["value"] == pytest.approx(fall, abs=1e-12)
    assert cell(rows, "logprob_fall")["n"] == 5
    assert cell(rows, "n_neurons", shots=None)["value"] == located.sum()
    excess = cell(rows, "logprob_excess", control="matched")
    controls = cell(rows, "logprob_fall", control="matched")
    assert excess["value"] == pytest.approx(fall - controls["value"], abs=1e-12)
    assert (excess["role"], excess["n_draws"], excess["p"]) == ("secondary", 9, excess["p_holm"])
    assert controls["ci_low"] < controls["value"] < controls["ci_high"]
    assert sum(r["role"] == "secondary" for r in rows) == 1
    for metric in ("accuracy", "malformed"):
        assert 0 <= cell(rows, metric)["value"] <= 1
    assert cell(rows, "accuracy", control="matched")["n_draws"] == 2
    assert cell(rows, "accuracy", dataset="average")["value"] == cell(rows, "accuracy")["value"]
    change = cell(rows, "accuracy_change", dataset="average")
    assert change["value"] == cell(rows, "accuracy_change")["value"]
    beyond = cell(rows, "accuracy_excess", dataset="average", control="matched")
    assert beyond["value"] == cell(rows, "accuracy_excess", control="matched")["value"]
    assert beyond["interval"] == "bootstrap 95 %, mean of 1 tasks"
    assert cell(rows, "perplexity", shots=None)["value"] > 1
    for share in SETTINGS["dose"]:
        assert cell(rows, "logprob_fall", mask="", share=share)["n"] == 5
    assert cell(rows, "dose_area_excess", mask="", control="layer")["n"] == 5
    assert cell(rows, "logprob_fall", shots=1)["value"] != pytest.approx(fall)
    for mode in ("answer", "mean"):
        assert cell(rows, "logprob_fall", mode=mode)["value"] != pytest.approx(fall)


def test_an_empty_mask_is_a_row_without_effect(finished, make_job, tmp_path):
    rows = tabulate(finished, make_job, tmp_path)
    assert cell(rows, "n_neurons", mask="s9", shots=None)["value"] == 0
    assert not [r for r in rows if r["mask"] == "s9" and r["metric"] != "n_neurons"]


def test_left_out_samples_are_named(finished):
    for name in ("likelihood", "answers"):
        dropped = store.read_metadata(finished.outputs[name])["dropped"]
        assert dropped["0"] == [["long", "does not fit the context of 32 tokens"]]


def test_too_few_samples_are_not_computed(finished, make_job, tmp_path):
    rows = tabulate(finished, make_job, tmp_path, minimum=20)
    assert {r["interval"] for r in rows} == {"not computed: n = 5, needs 20"}
    assert {r["mask"] for r in rows} == set(SIGMAS)
    assert {(r["n"], r["value"]) for r in rows} == {(0, None)}


def test_a_mask_of_too_few_samples_is_not_erased(finished, make_job, tmp_path):
    for path in finished.inputs["masks"]:
        facts = store.read_metadata(path) | {"too_few": "n = 3, needs 20"}
        store.write_table(store.read_table(path), path, facts)
    erase_neurons.run(finished)
    rows = tabulate(finished, make_job, tmp_path)
    assert {(r["value"], r["interval"]) for r in rows} == {(None, "not computed: n = 3, needs 20")}
    assert {r["mask"] for r in rows} == set(SIGMAS)


def test_weights_of_another_task(finished):
    with pytest.raises(DataError, match="holds nothing about task 'x'; delete it"):
        weigh_neurons.read_weights(finished.input("weights"), "x")


def test_likelihoods_are_paired(finished):
    table = store.read_table(finished.outputs["likelihood"])
    assert isinstance(table, pa.Table)
    ids = {}
    for row in table.to_pylist():
        if row["shots"] == 0:
            ids.setdefault((row["mask"], row["arm"], row["mode"], row["share"], row["control"],
                            row["draw"]), []).append(row["sample_id"])  # fmt: skip
    assert len({tuple(sorted(found)) for found in ids.values()}) == 1


def test_labels_that_are_the_same_tokens_are_not_ranked(finished, caplog):
    """The toy knows none of the six words; all other scores stand."""
    job = dataclasses.replace(finished, spec=finished.spec | {"plugin": "emotions"})
    erase_neurons.run(job)
    assert "labels are not ranked: 6 labels become 1 token sequences" in caplog.text
    rows = store.read_table(job.outputs["answers"]).to_pylist()
    assert rows
    assert {row["ranked"] for row in rows} == {None}
    assert {row["malformed"] for row in rows} == {1.0}


def test_labels_of_the_settings_are_ranked_and_count_as_answers(finished, tmp_path):
    """Against whole passes, label by label."""
    table = store.read_table(finished.input("test")).to_pylist()
    labels = sorted({row["answer"].strip() for row in table if row["sample_id"] != "long"})
    spec = finished.spec | {"plugin": "emotions", "labels": labels, "answered": 8}
    job = dataclasses.replace(finished, spec=spec)
    erase_neurons.run(job)
    rows = [r for r in store.read_table(job.outputs["answers"]).to_pylist()
            if r["arm"] == "base" and r["shots"] == 0]  # fmt: skip
    lm = load_model(tmp_path / "hf", dtype="float64")
    samples = {row["sample_id"]: row for row in table}
    assert {row["ranked"] for row in rows} == {0.0, 1.0}
    for row in rows:
        sample = samples[row["sample_id"]]
        best = max(labels, key=lambda x, s=sample: likelihood_of(lm, s["prompt"], f" {x}"))
        assert row["ranked"] == float(f" {best}" == sample["answer"])
        words = row["completion"].split()
        firsts = {label[0] for label in labels}
        assert row["malformed"] == float(not words or words[0] not in firsts)


def likelihood_of(lm, prompt, answer):
    ids, wanted = encode(lm.tokenizer, prompt, answer)
    logits = lm.model(torch.tensor([[*ids, *wanted]])).logits[0].log_softmax(-1)
    return sum(float(logits[len(ids) - 1 + i, token]) for i, token in enumerate(wanted))


def test_a_dose_too_large_for_random_sets_stands_alone(finished, make_job, tmp_path, caplog):
    job = dataclasses.replace(finished, spec=finished.spec | {"dose": [0.02, 0.9]})
    erase_neurons.run(job)
    assert "no layer random sets beside located at 90.0%" in caplog.text
    rows = tabulate(job, make_job, tmp_path)
    alone = cell(rows, "logprob_excess", mask="", share=0.9, control="layer", shots=None)
    assert (alone["n"], alone["value"]) == (0, None)
    assert alone["interval"].startswith("not computed: 2 neurons outside the located set")
    assert cell(rows, "logprob_fall", mask="", share=0.9)["value"] is not None
    assert cell(rows, "logprob_excess", mask="", share=0.02, control="layer")["value"] is not None

"""The first samples of every task, scored by both rules, and the masks of the two compared."""

import numpy as np
import pyarrow as pa
import pytest

from caploc.attribution.engine import attribute
from caploc.experiments.agreement import measure_agreement
from caploc.files import store
from caploc.files.scores import write_not_computed
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.stages import attribute_shard, score_converged

METHOD = {
    "locator": "cnl", "site": "post", "rule": "inclusive", "steps": 2, "tolerance": 1e-3,
    "max_answer_tokens": 9, "batch_rows": 500,
}  # fmt: skip
ROWS = {
    "sums": [("s0", "one + two =", " three"), ("bad", "a b", ""), ("s1", "two + two =", " four"),
             ("s2", "three + one =", " four")],
    "none": [("n0", "a", "")],
}  # fmt: skip


@pytest.fixture
def world(tmp_path, save_model, make_job):
    hf = save_model()
    lm = load_model(hf)
    manifest = {"model": "tiny", "path": "hf", "n_layers": lm.n_layers, "n_neurons": lm.n_neurons,
                "family": "llama"}  # fmt: skip
    store.write_json(manifest, tmp_path / "manifest.json")
    spec = {"model": "tiny", "family": "llama", "dtype": "float32", "device": "cpu",
            "method": METHOD, "seed": 0}  # fmt: skip
    for task, rows in ROWS.items():
        names = ["sample_id", "prompt", "answer"]
        columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        store.write_table(pa.table(columns), tmp_path / f"{task}.samples", {})
        inputs = {
            "manifest": [tmp_path / "manifest.json"],
            "samples": [tmp_path / f"{task}.samples"],
        }
        job = make_job("attribute_shard", spec | {"task": task, "shard": 0, "shard_size": 9},
                       inputs, {"scores": tmp_path / f"{task}.shard"})  # fmt: skip
        attribute_shard.run(job)
    inputs = {"manifest": [tmp_path / "manifest.json"],
              "samples": [tmp_path / f"{task}.samples" for task in ROWS],
              "shards": [tmp_path / f"{task}.shard" for task in ROWS]}  # fmt: skip
    spec |= {"tasks": list(ROWS), "n_samples": 2}
    score_converged.run(make_job("score_converged", spec, inputs, {"scores": tmp_path / "both"}))
    return tmp_path, lm


def test_means_of_both_rules_over_the_same_samples(world):
    folder, lm = world
    table, metadata = store.read_table(folder / "both"), store.read_metadata(folder / "both")
    assert metadata["n_samples"] == {"sums": 2, "none": 0}
    assert metadata["largest_gap"] < 1e-3
    assert set(table["task"].to_pylist()) == {"sums"}
    pairs = [
        encode(lm.tokenizer, prompt, answer)
        for _, prompt, answer in (ROWS["sums"][0], ROWS["sums"][2])
    ]
    samples = [x for x, _ in pairs], [y for _, y in pairs]
    for rule, settings in (
        ("method", {"rule": "inclusive", "steps": 2}),
        ("converged", {"rule": "gauss-legendre", "steps": 64}),
    ):
        expected = np.mean([a.scores for a in attribute(lm, *samples, **settings)], axis=0)
        rows = table.filter(pa.array([found == rule for found in table["rule"].to_pylist()]))
        assert rows["layer"].to_pylist() == list(range(lm.n_layers))
        size = np.abs(expected).max()
        found = np.array(rows["mean"].to_pylist())
        np.testing.assert_allclose(found, expected, atol=1e-3 * size)


def test_masks_are_compared(world, make_job, tmp_path):
    folder, _ = world
    rule = {"sigma": 1.5, "dispersion": "std", "per_layer": False, "sign": "both"}
    table = store.read_table(folder / "both").to_pylist()
    grids = {
        name: np.array([row["mean"] for row in table if row["rule"] == name])
        for name in ("method", "converged")
    }
    located = {name: np.abs(g - g.mean()) > 1.5 * g.std() for name, g in grids.items()}
    common = (located["method"] & located["converged"]).sum()
    error = np.abs(grids["method"] - grids["converged"]).sum() / np.abs(grids["converged"]).sum()
    spec = {"model": "tiny", "method": "cnl", "mask": "m", "arm": "located", "rule": rule}
    scores = tmp_path / "scores"
    write_not_computed(scores, 24, "no sample", {"n_samples": 0})
    for task in ROWS:
        job = make_job("measure_agreement", spec | {"task": task},
                       {"scores": [scores], "converged": [folder / "both"]},
                       {"part": tmp_path / task})  # fmt: skip
        measure_agreement.run(job)
    rows = [r for r in store.read_table(tmp_path / "sums").to_pylist() if r["reference"]]
    assert {(r["comparison"], r["dataset"], r["reference"]) for r in rows} == {
        ("converged-mask", "sums", "sums.converged")
    }
    found = {row["metric"]: (row["value"], row["n"]) for row in rows}
    union = (located["method"] | located["converged"]).sum()
    assert found["iou"] == (pytest.approx(common / union), 2)
    assert found["located_count_converged"] == (located["converged"].sum(), 2)
    assert found["score_error"] == (pytest.approx(error), 2) and error > 0.01
    row = store.read_table(tmp_path / "none").to_pylist()[-1]
    assert (row["value"], row["n"], row["interval"]) == (None, 0, "not computed: no sample")

"""The enhancement job: every arm tested, killed and continued, bad cases; then its tables."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from manifests import write_manifest
from safetensors.torch import load_file

from caploc.experiments.enhancement import _bench as bench_module
from caploc.experiments.enhancement import (
    enhance_task,
    tabulate_cross_enhancement,
    tabulate_enhancement,
)
from caploc.files import store
from caploc.files.masks import write_mask
from caploc.interventions import fitting as training
from caploc.jobs.digests import file_digest
from caploc.models.loading import load_model
from caploc.records import DataError

ARMS = ["located", "layer", "uniform", "rest", "full", "scaled"]
SPEC = {
    "model": "m", "task": "sums", "method": "cnl", "masks": ["s3", "s6"], "cross_mask": "s3",
    "targets": [{"id": "sums", "plugin": "word_problems"}, {"id": "other", "plugin": "emotions"}],
    "sets": ["own"], "sources": [],
    "seed": 0, "minimum": 4, "arms": ARMS, "draws": 2, "seeds": 1, "part": "both",
    "epochs": [1, 2], "batch": 4, "rates": [0.01, 0.05], "train_samples": 8, "test_samples": 5,
    "family": "llama", "dtype": "float32", "device": "cpu",
}  # fmt: skip
LETTERS = "abcdefghij"


def samples(path, n, first=0):
    """One letter after three others: the last of them again."""
    rng = np.random.default_rng(first)
    words = [[LETTERS[i] for i in rng.integers(10, size=3)] for _ in range(n)]
    table = pa.table(
        {
            "sample_id": [f"s{first + i}" for i in range(n)],
            "prompt": [" ".join(w) + " =" for w in words],
            "answer": [f" {w[-1]} {w[0]}" for w in words],
        }
    )
    store.write_table(table, path, {"origin": {}})
    return path


@pytest.fixture
def files(tmp_path, save_model):
    folder = save_model()
    manifest = tmp_path / "manifest.json"
    write_manifest(
        manifest, folder, model="m", repo=None, revision=None, architecture="LlamaForCausalLM",
        files={p.name: file_digest(p) for p in folder.iterdir()},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, 24))
    scores[0, :3] += 20
    scores[1, 7] -= 20
    masks = []
    for name, sigma in (("s3", 2.0), ("s6", 50.0)):  # the second locates nothing
        write_mask(tmp_path / f"{name}.parquet", scores, {"sigma": sigma}, {"origin": {}})
        masks.append(tmp_path / f"{name}.parquet")
    return {
        "manifest": [manifest], "masks": masks,
        "train": [samples(tmp_path / "train.parquet", 12)],
        "validation": [samples(tmp_path / "validation.parquet", 5, 100)],
        "tests": [samples(tmp_path / f"t{i}.parquet", 6, 200 + i) for i in (0, 1)],
        "crossing": [],
    }  # fmt: skip


@pytest.fixture
def run(files, make_job, tmp_path):
    def call(name="a", **changes):
        outputs = {"answers": tmp_path / name / "cnl.parquet"}
        outputs |= {f"delta-{m}": tmp_path / name / f"{m}.safetensors" for m in SPEC["masks"]}
        job = make_job("enhance_task", SPEC | changes, files, outputs)
        enhance_task.run(job)
        return outputs

    return call


def table(run_outputs):
    return store.read_table(run_outputs["answers"]).to_pylist()


@pytest.fixture
def lm(files):
    return load_model(store.read_json(files["manifest"][0])["path"])


def test_every_arm_is_tested_and_the_delta_makes_the_tested_model(run, lm, files):
    outputs = run()
    rows = table(outputs)
    facts = store.read_metadata(outputs["answers"])
    own = {(r["arm"], r["run"], r["epoch"]) for r in rows if r["target"] == "sums"}
    two = [(arm, run, e) for arm in ("layer", "uniform") for run in (0, 1) for e in (1, 2)]
    one = [(arm, 0, e) for arm in ("located", "rest", "full") for e in (1, 2)]
    assert own == {*two, *one, ("none", 0, 0), ("scaled", 0, 0)}
    crossed = {(r["arm"], r["epoch"]) for r in rows if r["target"] == "other"}
    assert crossed == {("none", 0), ("located", 2), ("layer", 2)}
    assert all(r["correct"] is None for r in rows if r["target"] == "other" and r["arm"] == "layer")
    assert facts["missing"] == {"s6": "empty mask"}
    assert {t["arm"]: t["n_trained"] for t in facts["trainings"]} == {
        "located": 4 * 48, "layer": 4 * 48, "uniform": 4 * 48, "rest": 68 * 48, "full": 72 * 48,
    }  # fmt: skip
    # The validation split chose: best rate of each arm, and one for all.
    best = {
        arm: max(
            (v for v in facts["validation"] if v["arm"] == arm), key=lambda v: v["log_probability"]
        )
        for arm in ("located", "layer", "rest", "full")
    }
    for trained in facts["trainings"]:
        if "best" in trained["choices"] and trained["arm"] in best:
            assert trained["rate"] == best[trained["arm"]]["rate"]
    # The saved slices, put into the original weights by hand, give the tested log-probabilities.
    values = load_file(outputs["delta-s3"])
    for name, value in values.items():
        layer, _, path = name.partition(".")
        if layer == "mask":
            continue
        weight = lm.blocks[int(layer)].get_submodule(path).weight
        neurons = values["mask.neuron"][values["mask.layer"] == int(layer)].long()
        with torch.no_grad():
            if path == "mlp.down_proj":
                weight[:, neurons] = value.T
            else:
                weight[neurons] = value
    rate = best["located"]["rate"]
    tested = [
        r
        for r in rows
        if (r["target"], r["arm"], r["epoch"], r["rate"]) == ("sums", "located", 2, rate)
    ]
    text = store.read_table(files["tests"][0]).to_pylist()[:5]
    for row, sample in zip(tested, text, strict=True):
        prompt = lm.tokenizer(sample["prompt"])["input_ids"][:-1]  # without the end of text
        answer = lm.tokenizer(sample["answer"], add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            found = torch.log_softmax(lm.model(torch.tensor([[*prompt, *answer]])).logits[0], -1)
        wanted = sum(found[len(prompt) - 1 + m, t].item() for m, t in enumerate(answer))
        assert row["log_probability"] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("after", [1, 4, 7])
def test_a_killed_job_goes_on_and_ends_with_the_same_answers(run, tmp_path, monkeypatch, after):
    few = {"arms": ["located", "layer"], "draws": 1, "rates": [0.01]}
    whole = table(run("whole", **few))
    trained, kills = [], [after]
    step = training.Training.step

    def killed(self):
        trained.append(self)
        if kills and len(trained) == kills[0]:
            kills.pop()
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(training.Training, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        run("killed", **few)
    assert not (tmp_path / "killed/cnl.parquet").exists()
    assert list((tmp_path / "killed").glob(".*.work/*"))
    n_before = len(trained) - 1
    assert table(run("killed", **few)) == whole
    everything = len(trained) - 1
    # Whole epochs are not trained twice: at most one epoch (2 steps) was lost.
    trained.clear()
    run("again", **few)
    assert everything <= len(trained) + 2
    assert n_before == after - 1
    assert not list((tmp_path / "killed").glob(".*.work"))


def test_diverging_training_keeps_what_was_good(run, monkeypatch, files, make_job, tmp_path):
    original = training.answer_pass
    calls = []

    def spoiled(lm, batch):
        calls.append(1)
        found = original(lm, batch)
        bad = float("nan") if len(calls) > 3 else 1.0
        return replace(found, logprob=found.logprob * bad)

    monkeypatch.setattr(training, "answer_pass", spoiled)
    outputs = run(arms=["located"], rates=[0.01])
    rows, facts = table(outputs), store.read_metadata(outputs["answers"])
    assert {r["epoch"] for r in rows if r["arm"] == "located"} == {1}
    (found,) = facts["trainings"]
    assert "not finite in epoch 2" in found["diverged"]
    with pytest.raises(DataError, match="training diverged: loss nan"):
        from caploc.interventions.delta import read_delta

        read_delta(outputs["delta-s3"])
    cells = tabulated(outputs, make_job, tmp_path)
    lost = cells["s3", "sums", "located", "shared", 2, "", "accuracy"]
    assert lost["value"] is None
    assert "training diverged: loss nan" in lost["interval"]
    assert cells["s3", "sums", "located", "shared", 1, "", "accuracy"]["value"] is not None


def test_too_few_samples(run, make_job, tmp_path):
    outputs = run(minimum=20, arms=["located"])
    assert store.read_metadata(outputs["answers"])["not_computed"] == "n = 8 in train, needs 20"
    cells = tabulated(outputs, make_job, tmp_path)
    row = cells["s3", "sums", "located", "shared", 1, "", "accuracy"]
    assert (row["value"], row["n"]) == (None, 0)
    assert row["interval"] == "not computed: n = 8 in train, needs 20"


def test_a_mask_of_too_few_samples_is_not_trained(run, files, make_job, tmp_path):
    facts = store.read_metadata(files["masks"][0]) | {"too_few": "n = 3, needs 20"}
    store.write_table(store.read_table(files["masks"][0]), files["masks"][0], facts)
    outputs = run(arms=["located"])
    assert not [r for r in table(outputs) if r["arm"] == "located"]
    row = tabulated(outputs, make_job, tmp_path)[
        "s3", "sums", "located", "shared", 1, "", "accuracy"
    ]
    assert (row["value"], row["interval"]) == (None, "not computed: n = 3, needs 20")


def test_a_batch_larger_than_the_train_split(run, make_job, tmp_path):
    outputs = run(batch=9, arms=["located"])
    cells = tabulated(outputs, make_job, tmp_path)
    row = cells["s3", "sums", "located", "shared", 1, "", "accuracy"]
    assert (row["value"], row["n"]) == (None, 0)
    assert row["interval"] == "not computed: n = 8 in train, a batch needs 9"


def test_a_full_disk_keeps_finished_trainings(run, monkeypatch, tmp_path):
    import caploc.interventions.delta as module

    save, saved = module.save_file, []

    def full(tensors, path, metadata):
        saved.append(path)
        if len(saved) > 5:
            raise OSError(28, "No space left on device")
        save(tensors, path, metadata)

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(DataError, match=r"No space left on device.*finished work is kept"):
        run("full", arms=["located", "rest"])
    kept = [p for p in (tmp_path / "full").rglob("*.safetensors")]
    assert len(kept) > 2
    for path in kept:
        load_file(path)
    monkeypatch.setattr(module, "save_file", save)
    assert table(run("full", arms=["located", "rest"])) == table(
        run("whole", arms=["located", "rest"])
    )


def tabulated(outputs, make_job, tmp_path, module=tabulate_enhancement, **spec):
    name = module.__name__.rpartition(".")[2]
    paths = {kind: tmp_path / f"{name}.{kind}" for kind in ("csv", "parquet")}
    spec = spec or {"sigmas": {"s3": 3.0, "s6": 6.0}, "seed": 0}
    module.run(make_job(name, spec, {"answers": [outputs["answers"]]}, paths))
    rows = store.read_table(paths["parquet"]).to_pylist()
    if module is tabulate_cross_enhancement:
        return {
            (r["source"], r["dataset"], r["arm"], r["comparison"], r["metric"]): r for r in rows
        }
    keys = ("mask", "dataset", "arm", "choice", "epoch", "comparison", "metric")
    return {tuple(r[k] for k in keys): r for r in rows}


def test_tables_hold_the_means_and_paired_differences_of_the_answers(run, make_job, tmp_path):
    outputs = run(rates=[0.05])
    rows = table(outputs)
    cells = tabulated(outputs, make_job, tmp_path)

    def mean(arm, epoch, column, target="sums"):
        found = [float(r[column]) for r in rows
                 if (r["arm"], r["epoch"], r["target"]) == (arm, epoch, target)]  # fmt: skip
        return sum(found) / len(found)

    for metric, column in (("accuracy", "correct"), ("log_probability", "log_probability")):
        for arm in ("located", "layer", "uniform", "rest", "full"):
            for epoch in (1, 2):
                value = cells["s3", "sums", arm, "shared", epoch, "", metric]
                assert value["value"] == pytest.approx(mean(arm, epoch, column))
                assert value["ci_low"] <= value["value"] <= value["ci_high"]
                assert value["n"] == 5
                change = cells["s3", "sums", arm, "shared", epoch, "change", metric]
                wanted = mean(arm, epoch, column) - mean("none", 0, column)
                assert change["value"] == pytest.approx(wanted, abs=1e-12)
                if arm != "located":
                    minus = cells["s3", "sums", arm, "shared", epoch, "located minus", metric]
                    wanted = mean("located", epoch, column) - mean(arm, epoch, column)
                    assert minus["value"] == pytest.approx(wanted, abs=1e-12)
    assert cells["s3", "sums", "layer", "shared", 1, "", "accuracy"]["n_draws"] == 2
    empty = cells["s6", "sums", "located", "shared", 1, "", "accuracy"]
    assert (empty["value"], empty["n"], empty["interval"]) == (None, 0, "empty mask")
    assert cells["s6", "sums", "full", "shared", 1, "", "accuracy"]["value"] is not None
    tasks = {"sums": {"plugin": "word_problems", "capability": None},
             "other": {"plugin": "emotions", "capability": "mathematics"}}  # fmt: skip
    cross = tabulated(outputs, make_job, tmp_path, tabulate_cross_enhancement, tasks=tasks, seed=0)
    for target in ("sums", "other"):
        wanted = mean("located", 2, "log_probability", target) - mean(
            "none", 0, "log_probability", target
        )
        row = cross["sums", target, "located", "change", "log_probability"]
        assert row["value"] == pytest.approx(wanted, abs=1e-12)
        assert row["relation"] == {"sums": "self", "other": "same type"}[target]
        random = mean("layer", 2, "log_probability", target) - mean(
            "none", 0, "log_probability", target
        )
        beside = cross["sums", target, "located", "beside layer", "log_probability"]
        assert beside["value"] == pytest.approx(wanted - random, abs=1e-12)
    contrast = cross["all", "same minus other", "located", "change", "log_probability"]
    assert contrast["value"] is None  # there is no target of another type


def crossing(tmp_path, chosen):
    """A mask of each source that locates the (layer, neuron) named, the first ones loudest."""
    paths = []
    for task, neurons in chosen.items():
        scores = np.random.default_rng(1).normal(size=(3, 24)) / 10
        for k, (layer, neuron) in enumerate(neurons):
            scores[layer, neuron] = 30.0 - k
        path = tmp_path / f"crossing-{task}.parquet"
        origin = {"origin": {"spec": {"task": task}}}
        write_mask(path, scores, {"sigma": 2.0}, origin)
        paths.append(path)
    return paths


ALL_SETS = ["own", "equal", "own-distinct", "equal-distinct"]


def test_equal_and_distinct_sets_train_once_more_and_are_crossed(
    run, files, make_job, tmp_path, lm, monkeypatch
):
    chosen = {
        "sums": [(0, 0), (0, 1), (0, 2), (1, 7)],
        "other": [(0, 1), (2, 3), (2, 4)],
    }
    files["crossing"] = crossing(tmp_path, chosen)
    # By hand: of the four, the three largest; without (0, 1), which both have; the two largest.
    wanted = {
        "s3.equal": [(0, 0), (0, 1), (0, 2)],
        "s3.own-distinct": [(0, 0), (0, 2), (1, 7)],
        "s3.equal-distinct": [(0, 0), (0, 2)],
    }
    trained = {}
    original = bench_module.trainable

    def recorded(lm, arm, located, part, seed):
        if arm.kind == "located":
            trained[arm.mask] = sorted(map(tuple, np.argwhere(located).tolist()))
        return original(lm, arm, located, part, seed)

    monkeypatch.setattr(bench_module, "trainable", recorded)
    outputs = run("sets", sets=ALL_SETS, sources=["sums", "other"], arms=["located", "layer"])
    assert {name: trained[name] for name in wanted} == wanted
    rows = table(outputs)
    own = run("own", arms=["located", "layer"])
    assert [r for r in rows if "." not in r["mask"]] == table(own)  # nothing else is changed
    for name in wanted:
        mine = {(r["arm"], r["target"], r["epoch"], r["run"]) for r in rows if r["mask"] == name}
        assert mine == {(arm, target, 2, n) for target in ("sums", "other")
                        for arm, n in (("located", 0), ("layer", 0), ("layer", 1))}  # fmt: skip
    tasks = {"sums": {"plugin": "word_problems", "capability": None},
             "other": {"plugin": "emotions", "capability": None}}  # fmt: skip
    paths = {kind: tmp_path / f"cross.{kind}" for kind in ("csv", "parquet")}
    inputs = {"answers": [outputs["answers"]]}
    spec = {"tasks": tasks, "seed": 0}
    tabulate_cross_enhancement.run(make_job("tabulate_cross_enhancement", spec, inputs, paths))
    cells = store.read_table(paths["parquet"]).to_pylist()
    for sets in ALL_SETS:
        name = "s3" if sets == "own" else f"s3.{sets}"
        (cell,) = [c for c in cells if (c["sets"], c["dataset"], c["arm"], c["comparison"],
                                        c["metric"]) == (sets, "other", "located", "change",
                                                         "log_probability")]  # fmt: skip
        after = [r["log_probability"] for r in rows
                 if (r["mask"], r["target"], r["arm"], r["epoch"])
                 == (name, "other", "located", 2)]  # fmt: skip
        before = [r["log_probability"] for r in rows if r["arm"] == "none"
                  and r["target"] == "other"]  # fmt: skip
        assert cell["value"] == pytest.approx(np.mean(after) - np.mean(before), abs=1e-12)


def test_sets_that_cannot_be_are_told(run, files, make_job, tmp_path):
    files["crossing"] = crossing(tmp_path, {"sums": [(0, 0), (0, 1)], "other": [(2, 3)]})
    outputs = run("sets", sets=ALL_SETS, sources=["sums", "other"], arms=["located"])
    missing = store.read_metadata(outputs["answers"])["missing"]
    none = "not computed: no neuron is common to all data sets"
    assert missing["s3.own-distinct"] == missing["s3.equal-distinct"] == none
    paths = {kind: tmp_path / f"cross.{kind}" for kind in ("csv", "parquet")}
    kinds = {name: {"plugin": "word_problems", "capability": None} for name in ("sums", "other")}
    spec = {"tasks": kinds, "seed": 0}
    job = make_job("t", spec, {"answers": [outputs["answers"]]}, paths)
    tabulate_cross_enhancement.run(job)
    rows = store.read_table(paths["parquet"]).to_pylist()
    assert [
        r["interval"] for r in rows if r["sets"] == "own-distinct" and r["source"] == "sums"
    ] == [none]


def test_arms_that_are_equal_differ_by_exactly_zero():
    from caploc.experiments.enhancement._estimates import estimate, estimated

    rng = np.random.default_rng(0)
    one = (rng.random((1, 97)) < 0.8).astype(float)
    value, draws = estimate([one, np.repeat(one, 3, axis=0)], [1.0, -1.0], seed=3)
    assert np.abs(draws).max() > 0  # the trap: sums in another order
    row = estimated(value, draws, 97).row(0, named=True)
    assert [row[n] for n in ("value", "ci_low", "ci_high")] == [0.0, 0.0, 0.0]

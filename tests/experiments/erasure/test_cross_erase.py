"""From masks and a model to the tables `cross_erasure` and `cross_overlap`, on a toy."""

import numpy as np
import polars as pl
import pytest
import torch
from manifests import write_manifest
from test_erase_neurons import PLACE, write_samples
from transformers import AutoModelForCausalLM

from caploc.experiments.erasure import (
    cross_erase,
    tabulate_cross_erasure,
    tabulate_cross_overlap,
    weigh_neurons,
)
from caploc.files import store
from caploc.files.masks import read_mask, write_mask
from caploc.measures import agreement
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import DataError

TASKS = ("b", "a", "c", "d")  # not sorted
COMMON = (0, 5)
PLACES = {
    "a": [COMMON, (0, 1), (1, 2)], "b": [COMMON, (0, 1)], "c": [COMMON, (2, 7), (1, 9)], "d": [],
}  # fmt: skip
TYPES = {"a": "m", "b": "m", "c": "l", "d": "l"}
DRAWS = 4


@pytest.fixture
def crossed(make_job, save_model, tmp_path):
    """Files of four data sets of one model; the mask of d is empty."""
    folder = save_model()
    manifest = tmp_path / "manifest.json"
    write_manifest(manifest, folder)
    masks, files = [], {}
    for i, task in enumerate(TASKS):
        scores = np.zeros((3, 24))
        for k, place in enumerate(PLACES[task]):
            scores[place] = 9 - k
        masks.append(tmp_path / f"{task}.mask")
        spec = {"model": "m", "task": task, "method": "cnl", "mask": "s1"}
        write_mask(masks[-1], scores, {"sigma": 1.0}, {"origin": {"spec": spec}})
        for k, split in enumerate(("locate", "train", "test")):
            (tmp_path / task).mkdir(exist_ok=True)
            files[task, split] = write_samples(tmp_path / task / split, 7, 10 * i + k)
    weights = tmp_path / "weights"
    spec = {"model": "m", "tasks": list(TASKS), "neutral": None, "samples": 5, "seed": 0,
            "locators": ["activation-size"]} | PLACE  # fmt: skip
    inputs = {"manifest": [manifest], "samples": [files[t, "locate"] for t in TASKS]}
    weigh_neurons.run(make_job("weigh_neurons", spec, inputs, {"weights": weights}))
    parts = []
    for task in TASKS:
        spec = PLACE | {
            "model": "m", "task": task, "method": "cnl", "mask": "s1", "tasks": list(TASKS),
            "seed": 0, "samples": 6, "draws": DRAWS, "batch_tokens": 64,
            "sets": ["own", "equal", "own-distinct", "equal-distinct"],
        }  # fmt: skip
        inputs = {"manifest": [manifest], "weights": [weights], "masks": masks,
                  "test": [files[task, "test"]], "train": [files[task, "train"]]}  # fmt: skip
        parts.append(tmp_path / f"{task}.part")
        job = make_job("cross_erase", spec, inputs, {"likelihood": parts[-1]})
        cross_erase.run(job)
    return masks, parts, files


def tabulate(stage, inputs, make_job, tmp_path, **more):
    out = {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.parquet"}
    spec = {
        "tasks": [{"id": t, "plugin": "generic", "capability": TYPES[t]} for t in TASKS],
        "mask": "s1", "sigma": 1.0, "seed": 0,
    }  # fmt: skip
    name = stage.__name__.rpartition(".")[2]
    stage.run(make_job(name, spec | more, inputs, out))
    return store.read_table(out["parquet"]).to_pylist()


def cell(rows, metric, source="", target="", sets="own"):
    (found,) = [
        r for r in rows
        if (r["metric"], r["source"], r["target"], r["sets"]) == (metric, source, target, sets)
    ]  # fmt: skip
    return found


def logprobs(folder, tokens, mask):
    """(sample,) log-probability per answer token of a model with columns set to 0; one by one."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    for layer, neuron in np.argwhere(mask):
        model.model.layers[layer].mlp.down_proj.weight.data[:, neuron] = 0
    found = []
    for prompt, answer in tokens:
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
        p = torch.log_softmax(logits, -1)
        found.append(sum(p[i, y].item() for i, y in enumerate(answer)) / len(answer))
    return np.array(found)


def test_every_cell_is_what_the_model_does(crossed, make_job, tmp_path):
    masks, parts, files = crossed
    rows = tabulate(
        tabulate_cross_erasure, {"likelihood": parts}, make_job, tmp_path, minimum_samples=3
    )
    lm = load_model(tmp_path / "hf", dtype="float64")
    sets = dict(zip(TASKS, map(read_mask, masks), strict=True))
    for target in "ac":
        table = store.read_table(files[target, "test"]).to_pylist()[1:6]  # the first is too long
        tokens = [encode(lm.tokenizer, r["prompt"], r["answer"]) for r in table]
        base = logprobs(tmp_path / "hf", tokens, sets["d"])
        for source in "abc":
            fall = base - logprobs(tmp_path / "hf", tokens, sets[source])
            found = cell(rows, "logprob_fall", source, target)
            assert found["value"] == pytest.approx(fall.mean(), abs=1e-12)
            assert found["n"] == 5
            random = cell(rows, "logprob_fall_random", source, target)
            beyond = cell(rows, "logprob_excess", source, target)
            assert beyond["value"] == pytest.approx(fall.mean() - random["value"], abs=1e-12)
            assert (beyond["n_draws"], beyond["role"]) == (DRAWS, "exploratory")
            assert random["ci_low"] <= random["value"] <= random["ci_high"]
            # Without what is common, and as many as the smallest set has: one neuron.
            left = np.zeros_like(sets[source])
            left[PLACES[source][1]] = True
            alone = base - logprobs(tmp_path / "hf", tokens, left)
            found = cell(rows, "logprob_fall", source, target, "equal-distinct")
            assert found["value"] == pytest.approx(alone.mean(), abs=1e-12)
    assert cell(rows, "n_common", sets="")["value"] == 1
    assert cell(rows, "n_neurons", "a", sets="own-distinct")["value"] == 2
    assert cell(rows, "n_neurons", "d")["value"] == 0
    assert not [r for r in rows if r["source"] == "d" and r["metric"] != "n_neurons"]


def test_the_contrast_is_that_of_the_cells(crossed, make_job, tmp_path):
    rows = tabulate(
        tabulate_cross_erasure, {"likelihood": crossed[1]}, make_job, tmp_path, minimum_samples=3
    )
    for sets in ("own", "equal"):
        cells = {
            (s, t): cell(rows, "logprob_excess", s, t, sets)["value"]
            for s in "abc" for t in TASKS if s != t
        }  # fmt: skip
        same = [v for (s, t), v in cells.items() if TYPES[s] == TYPES[t]]
        other = [v for (s, t), v in cells.items() if TYPES[s] != TYPES[t]]
        found = cell(rows, "logprob_contrast", sets=sets)
        assert found["value"] == pytest.approx(np.mean(same) - np.mean(other), abs=1e-12)
        assert found["ci_low"] <= found["value"] <= found["ci_high"]
        assert found["p"] >= 1 / (DRAWS + 1)
        dealt = cell(rows, "logprob_contrast_labels", sets=sets)
        assert (dealt["value"], dealt["n_draws"]) == (found["value"], 3)  # 3 ways into two pairs
        assert dealt["p"] in (1 / 3, 2 / 3, 1.0)


def test_all_targets_see_the_same_random_sets(crossed, monkeypatch, make_job, tmp_path):
    seen = []
    monkeypatch.setattr(
        cross_erase, "likelihood", lambda lm, some, arms, *rest: seen.append(arms) or pl.DataFrame()
    )
    _, parts, files = crossed
    for task in "ab":
        spec = store.read_metadata(parts[TASKS.index(task)])["origin"]["spec"]
        inputs = {
            "manifest": [tmp_path / "manifest.json"], "weights": [tmp_path / "weights"],
            "masks": crossed[0], "test": [files[task, "test"]], "train": [files[task, "train"]],
        }  # fmt: skip
        cross_erase.run(make_job("cross_erase", spec, inputs, {"likelihood": tmp_path / "other"}))
    first, second = seen
    assert len(first) == len(second) > 40
    for a, b in zip(first, second, strict=True):
        assert a.labels() == b.labels()
        assert np.array_equal(a.neurons, b.neurons)


def test_loss_relative_to_what_there_is_to_lose(crossed, make_job, tmp_path):
    """A file by hand: 3 of 4 right unchanged, 1 of 4 silenced, random sets 3 and 2 of 4."""
    part = crossed[1][TASKS.index("a")]
    table, metadata = store.read_table(part), store.read_metadata(part)
    found = [
        row for row in table.to_pylist()
        if row["arm"] == "base" or (row["arm"], row["source"]) == ("own", "a")
    ]  # fmt: skip
    found = [row for row in found if row["control"] == "" or row["draw"] < 2]
    ids = sorted({row["sample_id"] for row in found})[:4]
    right = {("base", "", 0): 3, ("own", "", 0): 1, ("own", "matched", 0): 3,
             ("own", "matched", 1): 2}  # fmt: skip
    found = [row for row in found if row["sample_id"] in ids]
    for row in found:
        n = right[row["arm"], row["control"], row["draw"]]
        row["n_right"] = row["n_tokens"] if ids.index(row["sample_id"]) < n else 0
    part = tmp_path / "by hand"
    store.write_table(type(table).from_pylist(found, table.schema), part,
                      metadata | {"chance": 0.25})  # fmt: skip
    rows = tabulate(
        tabulate_cross_erasure, {"likelihood": [part]}, make_job, tmp_path, minimum_samples=3
    )
    assert cell(rows, "relative_fall", "a", "a")["value"] == pytest.approx(0.5 / 0.5)
    assert cell(rows, "relative_fall_random", "a", "a")["value"] == pytest.approx(0.125 / 0.5)
    assert cell(rows, "relative_excess", "a", "a")["value"] == pytest.approx(0.75)
    assert cell(rows, "chance", target="a", sets="")["value"] == 0.25
    assert cell(rows, "exact_base", target="a", sets="")["value"] == 0.75
    store.write_table(type(table).from_pylist(found, table.schema), part,
                      metadata | {"chance": 0.8})  # fmt: skip
    rows = tabulate(
        tabulate_cross_erasure, {"likelihood": [part]}, make_job, tmp_path, minimum_samples=3
    )
    assert not [r for r in rows if r["metric"] == "relative_excess"]


def test_too_few_samples_are_not_computed(crossed, make_job, tmp_path):
    rows = tabulate(
        tabulate_cross_erasure, {"likelihood": crossed[1]}, make_job, tmp_path, minimum_samples=20
    )
    left = [r for r in rows if r["interval"] == "not computed: n = 5, needs 20"]
    assert {r["target"] for r in left} == set(TASKS)
    assert not [r for r in rows if r["target"] and r["value"] is not None]


def test_overlap_of_every_pair_and_its_contrast(crossed, make_job, tmp_path):
    rows = tabulate(tabulate_cross_overlap, {"masks": crossed[0]}, make_job, tmp_path)
    sets = dict(zip(TASKS, map(read_mask, crossed[0]), strict=True))
    assert cell(rows, "overlap", "b", "a")["value"] == agreement.overlap(sets["a"], sets["b"])
    assert cell(rows, "overlap", "b", "a")["value"] == pytest.approx((2 / 3 + 1) / 2)
    assert cell(rows, "shared_count", "b", "a", "own-distinct")["value"] == 1
    assert cell(rows, "overlap", "a", "d")["value"] is None
    found = cell(rows, "overlap_contrast")
    other = np.mean([agreement.overlap(sets[x], sets["c"]) for x in "ab"])
    assert found["value"] == pytest.approx((2 / 3 + 1) / 2 - other)
    assert found["p"] >= 1 / 200
    dealt = cell(rows, "overlap_contrast_labels")
    assert dealt["n_draws"] == 3
    with pytest.raises(DataError, match="is the mask of 'a', expected 'b'"):
        tabulate(tabulate_cross_overlap, {"masks": crossed[0][1:]}, make_job, tmp_path)

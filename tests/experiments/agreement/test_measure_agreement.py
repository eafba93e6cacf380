"""Agreement of halves: every number again from the means, with sets and loops."""

import math

import numpy as np
import pytest

from caploc.experiments.agreement import measure_agreement
from caploc.experiments.agreement.table import AGREEMENT
from caploc.files import store, tables
from caploc.files.scores import read_scores
from caploc.stages import aggregate_scores

IDS = {"model": "m", "task": "sums", "method": "cnl", "mask": "s2"}
RULE = {"sigma": 2.0, "dispersion": "std", "per_layer": False, "sign": "both"}
N_NEURONS, N_LAYERS = 30, 3


@pytest.fixture
def average(make_job, write_shard, tmp_path):
    def call(name, seed=0, n=40, task="sums", strength=2.0):
        generator = np.random.default_rng(seed)
        scores = generator.normal(size=(n, N_LAYERS, N_NEURONS)).astype(np.float32)
        scores[:, 0, :4] += strength
        shard = write_shard(f"{name}.shard", scores, task=task)
        spec = {
            "model": "m",
            "method": "cnl",
            "task": task,
            "n_splits": 3,
            "min_samples": 20,
            "seed": 0,
        }
        path = tmp_path / name
        aggregate_scores.run(
            make_job("aggregate_scores", spec, {"shards": [shard]}, {"scores": path})
        )
        return path

    return call


@pytest.fixture
def measure(make_job, tmp_path):
    def call(scores, shuffled=None, rule=RULE, name="part", others=(), **spec):
        inputs = {"scores": [scores], "shuffled": [] if shuffled is None else [shuffled]}
        inputs["others"] = list(others)
        spec = IDS | {"arm": "located", "rule": rule} | spec
        path = tmp_path / name
        measure_agreement.run(make_job("measure_agreement", spec, inputs, {"part": path}))
        return path

    return call


def located(mean, sigma=2.0):
    values = [float(x) for x in mean.reshape(-1)]
    centre = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((x - centre) ** 2 for x in values) / len(values))
    return {i for i, x in enumerate(values) if abs(x - centre) > sigma * spread}


def expected_values(a, b):
    common = len(a & b)
    per_layer = [
        sum(i // N_NEURONS == layer for i in a) * sum(i // N_NEURONS == layer for i in b)
        for layer in range(N_LAYERS)
    ]
    both = bool(a) and bool(b)
    inverse = (1 / len(a) + 1 / len(b)) / 2 if both else None
    size = N_LAYERS * N_NEURONS
    return {
        "overlap": common * inverse if both else None,
        "iou": common / len(a | b) if a | b else None,
        "chance_overlap_uniform": (len(a) + len(b)) / (2 * size) if both else None,
        "chance_overlap_layer": sum(per_layer) / N_NEURONS * inverse if both else None,
        "located_count": (len(a) + len(b)) / 2,
        "located_share": (len(a) + len(b)) / 2 / size,
    }


def rows_of(path, **wanted):
    return [
        row
        for row in store.read_table(path).to_pylist()
        if all(row[key] == value for key, value in wanted.items())
    ]


def check(row, values):
    found = [value for value in values if value is not None]
    assert row["n"] == len(found)
    assert row["interval"] == "range over 3 splits"
    if not found:
        assert row["value"] is row["ci_low"] is row["ci_high"] is None
        return
    assert row["value"] == pytest.approx(sum(found) / len(found))
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(min(found)), pytest.approx(max(found)))


def test_halves_at_every_n(average, measure):
    path = average("scores")
    part, scores = measure(path), read_scores(path)
    assert dict(tables.read(part).schema) == dict(AGREEMENT)
    for n in scores.curve:
        splits = [
            expected_values(*(located(scores.halves[split, half, n]) for half in "ab"))
            for split in range(3)
        ]
        for metric in splits[0]:
            (row,) = rows_of(part, n_half=n, metric=metric)
            check(row, [values[metric] for values in splits])
            assert row["dataset"] == "sums"
            assert row["reference"] == ""
            assert (row["arm"], row["comparison"], row["sigma"]) == ("located", "halves", 2.0)
            assert row["p"] is row["p_holm"] is row["n_draws"] is None
    (whole,) = rows_of(part, metric="located_share_whole")
    assert whole["n_half"] == 20
    assert whole["value"] == pytest.approx(len(located(scores.whole)) / (N_LAYERS * N_NEURONS))
    assert len(rows_of(part)) == 5 * 6 + 1
    (row,) = rows_of(part, n_half=20, metric="overlap")
    assert row["value"] > 0.9  # four planted neurons


def test_the_shuffled_reference_and_the_comparison_with_it(average, measure):
    task, other = average("scores"), average("other", seed=1, task="sums.shuffled", strength=1.0)
    part = measure(task, other)
    scores, shuffled = read_scores(task), read_scores(other)
    halves = rows_of(part, dataset="sums.shuffled", arm="shuffled", comparison="halves")
    assert len(halves) == 31
    values = [
        expected_values(located(scores.halves[s, "a", 20]), located(shuffled.halves[s, "b", 20]))
        for s in range(3)
    ]
    for metric in ("overlap", "iou", "chance_overlap_uniform", "chance_overlap_layer"):
        (row,) = rows_of(part, comparison="shuffled-mask", metric=metric)
        check(row, [v[metric] for v in values])
        assert (row["dataset"], row["reference"], row["n_half"]) == ("sums", "sums.shuffled", 20)
    whole = expected_values(located(scores.whole), located(shuffled.whole))
    for metric in ("overlap", "iou"):
        (row,) = rows_of(part, comparison="shuffled-mask", metric=f"{metric}_whole")
        assert row["value"] == pytest.approx(whole[metric])
        assert row["n"] == 1


def test_unequal_sizes_are_compared_at_the_largest_common_n(average, measure):
    part = measure(average("scores"), average("other", n=30, task="sums.shuffled"))
    (row,) = rows_of(part, comparison="shuffled-mask", metric="overlap")
    assert row["n_half"] == 10  # curves 1 2 5 10 20 and 1 2 5 10 15


def test_half_a_of_the_task_shares_no_sample_with_half_b_of_the_reference(
    make_job, write_shard, tmp_path
):
    """Samples are powers of two in both; their sums show who is in which half."""
    powers = np.zeros((20, 1, 1), dtype=np.float32)
    powers[:, 0, 0] = 2.0 ** np.arange(20)
    found = []
    for task, order in (("sums", range(20)), ("sums.shuffled", range(19, -1, -1))):
        order = list(order)
        shard = write_shard(task, powers[order], [f"s{i}" for i in order], task=task)
        path = tmp_path / f"{task}.scores"
        spec = {
            "model": "m",
            "method": "cnl",
            "task": task,
            "n_splits": 3,
            "min_samples": 20,
            "seed": 0,
        }
        aggregate_scores.run(
            make_job("aggregate_scores", spec, {"shards": [shard]}, {"scores": path})
        )
        found.append(read_scores(path))
    for split in range(3):
        a, b = found[0].halves[split, "a", 10], found[1].halves[split, "b", 10]
        assert round(float(a[0, 0]) * 10) & round(float(b[0, 0]) * 10) == 0


@pytest.mark.parametrize("arm", ["mixture", "neutral"])
def test_references_carry_their_arm(average, measure, arm):
    part = measure(average("scores"), arm=arm, task=arm)
    assert {(r["dataset"], r["arm"]) for r in rows_of(part)} == {(arm, arm)}


def test_empty_masks_are_results(average, measure):
    part = measure(average("scores"), rule=RULE | {"sigma": 50.0})
    for row in rows_of(part, n_half=20):
        if row["metric"].startswith("located"):
            assert row["value"] == 0
        else:
            assert row["value"] is None
            assert row["n"] == 0


@pytest.mark.parametrize("n", [0, 3])
def test_not_computed_is_one_row_with_the_reason(average, measure, n):
    """What few samples do have is the size of their mask."""
    few, reason = average("few", n=n), f"not computed: n = {n}, needs 20"
    row, *others = rows_of(measure(few))
    assert (row["metric"], row["value"], row["n"]) == ("overlap", None, 0)
    assert row["interval"] == reason
    assert [other["metric"] for other in others] == ["located_share_whole"] * (n > 0)
    for other in others:
        share = len(located(read_scores(few).whole)) / (N_LAYERS * N_NEURONS)
        assert (other["value"], other["n"]) == (share, 1)
    part = measure(average("scores"), few)
    assert len(rows_of(part, arm="shuffled")) == 1 + len(others)
    (row,) = rows_of(part, comparison="shuffled-mask")
    assert row["interval"] == reason
    (row,) = rows_of(measure(few, average("other")), comparison="shuffled-mask")
    assert row["interval"] == reason


def test_same_input_same_bytes(average, measure):
    path = average("scores")
    assert measure(path, name="x").read_bytes() == measure(path, name="y").read_bytes()


def test_halves_against_other_tasks(average, measure):
    own, other = average("scores"), average("other", seed=5, task="other", strength=3.0)
    part = measure(own, others=[other], rule=RULE | {"against": "others"})
    scores, rest = read_scores(own), read_scores(other).whole
    values = []
    for split in range(3):
        sets = []
        for half in "ab":
            grid = scores.halves[split, half, 20].astype(np.float64) - np.abs(rest)
            sets.append(set(np.flatnonzero(grid - grid.mean() > 2 * grid.std())))
        values.append(expected_values(*sets)["overlap"])
    (row,) = rows_of(part, n_half=20, metric="overlap")
    check(row, values)
    # What stands out in both tasks is located in neither.
    assert row["value"] is None or row["value"] < 0.9
    (row,) = rows_of(measure(own, rule=RULE | {"against": "others"}))
    assert row["interval"] == "not computed: no other task to compare with"

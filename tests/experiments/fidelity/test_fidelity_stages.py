"""From facts to the table, on a small random model and on files made by hand."""

import numpy as np
import polars as pl
import pytest
from manifests import write_manifest

from caploc.experiments.fidelity import (  # fmt: skip
    measure_fidelity,
    measure_kn_on_tasks,
)
from caploc.files import store, tables
from caploc.files.located import LOCATED, read_located
from caploc.locators import kn
from caploc.measures.masks import outliers
from caploc.models.loading import load_model
from caploc.records import Sample
from caploc.stages import join_parts, locate_facts, prepare_facts, recall_facts
from caploc.stages.recall_facts import PROMPTS

LAYERS, WIDTH = 2, 6
SPEC = {
    "model": "m", "facts": "f", "locator": "kn", "rewrites": 1, "partners": 9, "n_draws": 2,
    "minimum": 3, "seed": 0, "ratio": 0.2, "masks": {"s1": {"sigma": 1.0}}, "share": 0.7,
}  # fmt: skip


def prompt(fact, prompt_id, kind, rank=0, correct=True, relation="r", obj=None):
    return {
        "fact_id": fact, "subject": fact, "relation": relation, "object": obj or f"o-{fact}",
        "prompt_id": prompt_id, "kind": kind, "rank": rank, "prompt": f"{fact} {prompt_id}",
        "correct": correct, "probability": 0.5, "reason": "", "counterfactual": None,
        "counterfactual_object": None,
    }  # fmt: skip


@pytest.fixture
def by_hand(tmp_path, make_job):
    """Five facts, three prompts each, located by random scores; returns a way to measure them."""

    def measure(prompts, scores, spec=SPEC, dropped=(), **about):
        path = tmp_path / "prompts.parquet"
        metadata = {
            "n_facts": 5, "n_known": 4, "own_not_available": "cannot write",
            "own_dropped": {}, "facts": {"dropped": {"empty object": 2}, "rewrites_dropped": {}},
        }  # fmt: skip
        tables.write_part(pl.DataFrame(prompts, PROMPTS), path, {}, **metadata | about)
        rows = [
            {
                "fact_id": fact, "prompt_id": i, "rule": "0.2 x max",
                "units": np.flatnonzero(kn.select(s)).tolist(), "scores": s.ravel().tolist(),
            }
            for (fact, i), s in scores.items()
        ]  # fmt: skip
        located = tmp_path / "located.parquet"
        tables.write_part(
            pl.DataFrame(rows, LOCATED), located, {}, unit="ffn neuron", dropped=list(dropped),
            per_layer=[WIDTH] * LAYERS,
        )  # fmt: skip
        part = tmp_path / "part.parquet"
        inputs = {"prompts": [path], "located": [located]}
        measure_fidelity.run(make_job("measure_fidelity", spec, inputs, {"part": part}))
        return pl.read_parquet(part)

    return measure


@pytest.fixture
def example():
    rng = np.random.default_rng(0)
    prompts, scores = [], {}
    for i, fact in enumerate("abcde"):
        for j, kind in enumerate(("original", "template", "template")):
            correct = not (fact == "e" and j == 0) and not (fact == "d" and j == 1)
            prompts.append(prompt(fact, j, kind, max(0, j - 1), correct, f"r{i % 2}"))
            scores[fact, j] = rng.gumbel(size=(LAYERS, WIDTH)).astype(np.float32)
    return prompts, scores


def one(table, **where):
    where = {"fact": "", "rewrite": "template"} | where
    found = table.filter(*(pl.col(k) == v for k, v in where.items()))
    assert len(found) == 1, found
    return found.row(0, named=True)


def overlap(a, b):
    a, b = set(np.flatnonzero(a)), set(np.flatnonzero(b))
    return (len(a & b) / len(a) + len(a & b) / len(b)) / 2


def test_one_rewrite_of_every_fact(by_hand, example):
    prompts, scores = example
    table = by_hand(prompts, scores)
    values = {
        f: overlap(kn.select(scores[f, 0]), kn.select(scores[f, 1])) for f in "abcde"
    }  # the second rewrite is for refinement only
    row = one(table, comparison="rewrite", metric="overlap", facts="all")
    assert row["value"] == pytest.approx(np.mean(list(values.values())))
    assert row["ci_low"] <= row["value"] <= row["ci_high"] and row["n"] == 5
    # of the known ones, both prompts are right: not d (rewrite wrong), not e (original wrong)
    row = one(table, comparison="rewrite", metric="overlap", facts="known")
    assert row["value"] == pytest.approx(np.mean([values[f] for f in "abc"])) and row["n"] == 3
    for fact, value in values.items():
        row = one(table, comparison="rewrite", metric="overlap", facts="all", fact=fact)
        assert row["value"] == pytest.approx(value)


def test_differences_are_paired_by_fact(by_hand, example):
    prompts, scores = example
    table = by_hand(prompts, scores)
    sets = {key: kn.select(s) for key, s in scores.items()}
    relation = {f: i % 2 for i, f in enumerate("abcde")}
    differences = []
    for f in "abcde":
        others = [g for g in "abcde" if g != f and relation[g] != relation[f]]
        control = np.mean([overlap(sets[f, 0], sets[g, 1]) for g in others])
        differences.append(overlap(sets[f, 0], sets[f, 1]) - control)
    row = one(table, comparison="other relation", metric="rewrite_minus_overlap", facts="all")
    assert row["value"] == pytest.approx(np.mean(differences))
    known = one(table, comparison="same relation", metric="rewrite_minus_overlap", facts="known")
    assert known["role"] == "primary"


def test_too_few_facts_are_not_averaged(by_hand, example):
    prompts, scores = example
    row = one(
        by_hand(prompts, scores, SPEC | {"minimum": 4}),
        comparison="rewrite", metric="overlap", facts="known",
    )  # fmt: skip
    assert row["value"] is None and row["interval"] == "not computed: n = 3, needs 4"


def test_a_model_that_knows_no_fact_leaves_the_other_row(by_hand, example):
    prompts, scores = example
    table = by_hand([row | {"correct": False} for row in prompts], scores, n_known=0)
    row = one(table, comparison="rewrite", metric="overlap", facts="known")
    assert row["interval"] == "not computed: n = 0, needs 3"
    assert one(table, comparison="rewrite", metric="overlap", facts="all")["n"] == 5


def test_what_was_left_out_is_counted(by_hand, example):
    prompts, scores = example
    del scores["b", 1]
    table = by_hand(prompts, scores, dropped=[["b", 1, "no counterfactual prompt"]])
    dropped = table.filter(pl.col("metric") == "dropped")
    found = {(r["comparison"], r["interval"]): r["value"] for r in dropped.iter_rows(named=True)}
    assert found == {
        ("fact", "empty object"): 2, ("prompt, template", "no counterfactual prompt"): 1,
    }  # fmt: skip
    own = one(table, rewrite="own", metric="overlap")
    assert own["interval"] == "not available for this model: cannot write"
    assert one(table, comparison="rewrite", metric="overlap", facts="all")["n"] == 4


def test_growing_averages_use_both_rules(by_hand, example):
    prompts, scores = example
    table = by_hand(prompts, scores)
    means = [
        [np.mean([scores[f, j] for f in pair], axis=0, dtype=np.float64) for j in (0, 1)]
        for pair in ("ab", "cd")
    ]
    for rule, mark in (("0.2 x max", kn.select), ("mask s1", lambda s: outliers(s, 1.0))):
        wanted = [overlap(mark(a), mark(b)) for a, b in means]
        row = one(
            table, rule=rule, averaged_facts=2, comparison="rewrite", facts="all",
            metric="grown_overlap",
        )  # fmt: skip
        assert row["value"] == pytest.approx(np.mean(wanted))
        assert row["interval"] == "range over 2 groups"
        other = one(
            table, rule=rule, averaged_facts=2, comparison="other facts", facts="all",
            metric="grown_overlap",
        )  # fmt: skip
        assert other["value"] == pytest.approx(overlap(mark(means[0][0]), mark(means[1][1])))
    whole = one(
        table, rule="mask s1", averaged_facts=5, comparison="rewrite", facts="all",
        metric="grown_overlap",
    )  # fmt: skip
    assert whole["n"] == 1


def test_refined_sets_need_three_prompts(by_hand, example):
    prompts, scores = example
    refined = kn.refine([[kn.select(scores[f, j]) for j in range(3)] for f in "abcde"])
    table = by_hand(prompts, scores)
    rule = f"refined over prompts, share {refined.share:.2f}"
    row = one(table, rewrite="", rule=rule, metric="located_count")
    assert row["value"] == pytest.approx(refined.mean_count)
    fewer = [row for row in prompts if row["prompt_id"] < 2]
    kept = {key: s for key, s in scores.items() if key[1] < 2}
    row = one(
        by_hand(fewer, kept), rewrite="", rule="refined over prompts, share 0.70",
        metric="located_count",
    )  # fmt: skip
    assert row["interval"] == "facts with 3 prompts: not computed: n = 0, needs 3"


def test_the_stages_from_a_model_to_the_table(tmp_path, make_job, save_model):
    """Facts in the words of the small model; d cannot be encoded, e has no twin of its length."""
    folder = save_model()
    manifest = tmp_path / "manifest.json"
    write_manifest(manifest, folder)
    facts = [
        (s, r, o, [f"one {s} =", f"two {s} + ="], [])
        for s, r, o in (
            ("a", "r", "f"), ("b", "r", "g"), ("c", "r", "h"), ("d", "q", ""), ("e f", "q", "g"),
        )
    ]  # fmt: skip
    columns = ("fact_id", "subject", "relation", "object", "prompts", "paraphrases")
    rows = [
        dict(zip(columns, (s, s, r, o, p, q), strict=True))
        | {"neighbourhood": [], "new_object": ""}
        for s, r, o, p, q in facts
    ]  # fmt: skip
    path = tmp_path / "facts.parquet"
    table = pl.DataFrame(rows, prepare_facts.FACTS)
    tables.write_part(table, path, {}, dropped={}, rewrites_dropped={})
    place = {"model": "m", "facts": "f", "dtype": "float64", "device": "cpu", "seed": 0}
    settings = place | {"rewrites": 1, "refine_prompts": 1, "own_rewrites": True}
    asked = tmp_path / "prompts.parquet"
    inputs = {"manifest": [manifest], "facts": [path]}
    recall_facts.run(make_job("recall_facts", settings, inputs, {"prompts": asked}))
    prompts = pl.read_parquet(asked)
    assert prompts["kind"].to_list() == ["original", "template"] * 5
    twins = dict(zip(prompts["prompt"], prompts["counterfactual"], strict=True))
    subject = twins["one a ="].split()[1]
    assert subject in "bc"
    # one other subject for all prompts of a fact
    assert twins["two a + ="] == f"two {subject} + ="
    assert twins["one e f ="] is None
    assert "does not know the words" in store.read_metadata(asked)["own_not_available"]

    settings = place | {
        "locator": "kn", "locate": {"rule": "midpoint", "steps": 4}, "choose": {"ratio": 0.3},
        "rewrites": 1, "prompts": 1, "shard": 0, "shard_size": 2,
    }  # fmt: skip
    shards = []
    for shard in range(3):
        shards.append(tmp_path / f"shard-{shard}.parquet")
        job = make_job(
            "locate_facts", settings | {"shard": shard},
            {"manifest": [manifest], "prompts": [asked]}, {"located": shards[-1]},
        )  # fmt: skip
        locate_facts.run(job)
    located = read_located(shards)
    assert {key[1:] for key in located.units} == {
        (s, i) for s in ("a", "b", "c", "e f") for i in (0, 1)
    }
    assert located.dropped == [("d", 0, "no answer tokens"), ("d", 1, "no answer tokens")]
    (alone,) = kn.locate(
        load_model(folder, dtype="float64"), [Sample("", "two c + =", " h")], rule="midpoint",
        steps=4,
    )  # fmt: skip
    wanted = kn.select(alone.scores, 0.3).ravel()
    assert (located.grid("0.3 x max", "c", 1) == wanted).all() and wanted.any()

    part = tmp_path / "part.parquet"
    inputs = {"prompts": [asked], "located": shards}
    spec = SPEC | {"n_draws": 1, "minimum": 2}
    measure_fidelity.run(make_job("measure_fidelity", spec, inputs, {"part": part}))
    outputs = {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.parquet"}
    join_parts.run(make_job("join_parts", {"table": "fidelity"}, {"parts": [part]}, outputs))
    table = pl.read_parquet(outputs["parquet"])
    assert one(table, comparison="rewrite", metric="overlap", facts="all")["n"] == 4
    assert len(pl.read_csv(outputs["csv"])) == len(table)


def test_knowledge_neurons_of_task_samples(tmp_path, make_job, write_shard):
    rng = np.random.default_rng(0)
    # samples of a task share their largest neuron
    scores = {}
    paths = []
    for task, neuron in (("sums", 1), ("words", 4)):
        grid = rng.random((6, LAYERS, WIDTH)).astype(np.float32)
        grid[:, 0, neuron] = 9.0
        scores[task] = grid
        paths.append(write_shard(f"{task}.parquet", grid, task=task))
    spec = {
        "model": "m", "tasks": ["sums", "words"], "ratio": 0.2, "samples": 5, "partners": 99,
        "n_draws": 2, "minimum": 2, "seed": 0, "method": "cnl",
    }  # fmt: skip
    part = tmp_path / "part.parquet"
    job = make_job("measure_kn_on_tasks", spec, {"shards": paths}, {"part": part})
    measure_kn_on_tasks.run(job)
    table = pl.read_parquet(part)
    row = one(table, rewrite="", dataset="sums", comparison="same data set", metric="overlap")
    assert (row["value"], row["n"]) == (1.0, 5)
    row = one(table, rewrite="", dataset="sums", comparison="other data set", metric="overlap")
    assert (row["value"], row["n"]) == (0.0, 5)


def test_tasks_without_samples_say_so(tmp_path, make_job):
    spec = {
        "model": "m", "tasks": ["sums"], "ratio": 0.2, "samples": 5, "partners": 9, "n_draws": 2,
        "minimum": 2, "seed": 0, "method": "cnl",
    }  # fmt: skip
    part = tmp_path / "part.parquet"
    measure_kn_on_tasks.run(make_job("measure_kn_on_tasks", spec, {"shards": []}, {"part": part}))
    row = one(pl.read_parquet(part), rewrite="", comparison="same data set", metric="iou")
    assert (row["value"], row["interval"]) == (None, "not computed: n = 0, needs 2")

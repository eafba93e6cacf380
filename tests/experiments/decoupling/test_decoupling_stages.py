"""From paired samples to the table `decoupling`: on files made by hand and on a small model."""

import numpy as np
import polars as pl
import pytest
from manifests import write_manifest

from caploc import plugins
from caploc.experiments.decoupling import (
    locate_pairs,
    measure_decoupling,
    prepare_pairs,
)
from caploc.experiments.decoupling.locate_pairs import LOCATED_PAIRS
from caploc.files import store, tables
from caploc.forward.recall import recall
from caploc.locators import kn
from caploc.models.loading import load_model
from caploc.records import DataError, Sample
from caploc.samples.paired import held_out_by_main
from caploc.stages import join_parts

FAMILIES = ("calculations", "remarks")
LAYERS, WIDTH = 2, 10
SPEC = {
    "model": "m", "pairs": "remarks", "ratio": 0.2, "shares": [0.1, 0.3], "draws": 3, "orders": 4,
    "minimum": 3, "seed": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_pairs_are_seeded_distinct_and_outside_the_training_text(tmp_path, make_job, name):
    outputs = {"samples": tmp_path / "s.parquet", "card": tmp_path / "card.md"}
    spec = {"pairs": name, "n": 300, "seed": 1}
    prepare_pairs.run(make_job("prepare_pairs", spec, {}, outputs))
    table = pl.read_parquet(outputs["samples"])
    assert len(table) == 4 * 300 and table["main"].n_unique() == 300
    assert table.group_by("pair_id").len()["len"].unique().to_list() == [4]
    for row in table.to_dicts():
        assert row["prompt"].startswith(row["main"])
        assert held_out_by_main(row["prompt"], {"main": row["main"]})
        assert row["answer"].startswith(" ") and " " not in row["answer"][1:]
    # the prompts of a pair differ in the question alone
    for _, pair in table.group_by("pair_id"):
        assert pair["prompt"].n_unique() == 4 and pair["main"].n_unique() == 1
    card = outputs["card"].read_text()
    assert "seed 1" in card and "300 pairs" in card
    again = prepare_pairs.choose_pairs(name, plugins.load("tasks", name).TASK, 300, 1)
    assert [p for pair in again for p, _, _ in pair] == table["prompt"].to_list()
    other = prepare_pairs.choose_pairs(name, plugins.load("tasks", name).TASK, 300, 2)
    assert again != other


def test_calculations_are_right():
    for prompt, answer, meta in plugins.load("tasks", "calculations").TASK.population():
        a, sign, b, _ = prompt.removeprefix(meta["main"]).split()
        assert eval(f"{a} {sign} {b}") == int(answer)
        assert f" {a} " in meta["main"] and f" {b} " in meta["main"]


def test_the_default_number_of_pairs_exists():
    for name in FAMILIES:
        assert len(prepare_pairs.choose_pairs(name, plugins.load("tasks", name).TASK, 1000, 0))


@pytest.mark.parametrize(
    ("name", "n", "words"),
    [
        ("remarks", 10**6, r"1000000 pairs asked for, 'remarks' has \d+ distinct main parts"),
        ("emotions", 5, "'emotions' has no paired samples; choose one that names main"),
    ],
)
def test_more_pairs_than_there_are(name, n, words):
    with pytest.raises(DataError, match=words):
        prepare_pairs.choose_pairs(name, plugins.load("tasks", name).TASK, n, 0)


def test_locating_is_that_of_the_locator(tmp_path, make_job, save_model):
    folder = save_model()
    manifest = tmp_path / "manifest.json"
    write_manifest(manifest, folder)
    prompts = [f"{word} b = {'c ' * i}".strip() for i, word in enumerate("abcd")]
    rows = [
        {"pair_id": f"p{k}", "main": "m", "part": part, "form": form, "prompt": f"{p} {k}",
         "answer": " one" if part == "1" else ""}
        for k in range(2)
        for (part, form), p in zip((("1", "0"), ("1", "1"), ("2", "0"), ("2", "1")), prompts,
                                   strict=True)
    ]  # fmt: skip
    path = tmp_path / "samples.parquet"
    tables.write_part(pl.DataFrame(rows, prepare_pairs.PAIRS), path, {})
    settings = {"rule": "linspace", "steps": 4, "max_answer_tokens": 8, "batch_rows": 64}
    spec = {
        "model": "m", "pairs": "x", "dtype": "float64", "device": "cpu", "family": "llama",
        "shard": 1, "shard_size": 1, "kn": settings | {"ratio": 0.3}, "seed": 0,
    }  # fmt: skip
    located = tmp_path / "located.parquet"
    inputs = {"manifest": [manifest], "samples": [path]}
    locate_pairs.run(make_job("locate_pairs", spec, inputs, {"located": located}))
    found = pl.read_parquet(located)
    assert found["pair_id"].unique().to_list() == ["p1"]
    metadata = store.read_metadata(located)
    assert [item[1:] for item in metadata["dropped"]] == [
        ["2", "0", "no answer tokens"], ["2", "1", "no answer tokens"],
    ]  # fmt: skip
    lm = load_model(folder, dtype="float64", device="cpu")
    for row, text in zip(found.to_dicts(), [p + " 1" for p in prompts[:2]], strict=True):
        sample = Sample("s", text, " one")
        (expected,) = kn.locate(lm, [sample], **settings)
        units = np.flatnonzero(kn.select(expected.scores, 0.3))
        assert row["units"] == units.tolist()
        (answer,) = recall(lm, [text], [" one"])
        assert row["correct"] == answer.correct
        if row["form"] == "0":
            assert np.allclose(row["scores"], expected.scores.ravel(), rtol=1e-6)
        else:
            assert row["scores"] is None


@pytest.fixture
def by_hand(tmp_path, make_job):
    """Random scores of 6 pairs; the last is not answered, and what measuring them gives."""
    rng = np.random.default_rng(0)
    scores = {
        (k, name): rng.gumbel(size=(LAYERS, WIDTH)).astype(np.float32)
        for k in range(6)
        for name in ("10", "11", "20", "21")
    }
    rows = [
        {
            "pair_id": f"p{k}", "part": name[0], "form": name[1], "correct": k < 5,
            "n_answer_tokens": 2 if k == 0 else 1,
            "units": np.flatnonzero(kn.select(s)).tolist(),
            "scores": s.ravel().tolist() if name[1] == "0" else None,
        }
        for (k, name), s in scores.items()
    ]  # fmt: skip

    def measure(rows=rows, **changes):
        paths = []
        for i, part in enumerate((rows[:8], rows[8:])):
            path = tmp_path / f"{i}.parquet"
            tables.write_part(
                pl.DataFrame(part, LOCATED_PAIRS), path, {}, per_layer=[WIDTH] * LAYERS,
                dropped=[["p9", "1", "0", "too long"]] if i else [],
            )  # fmt: skip
            paths.append(path)
        out = tmp_path / "part.parquet"
        job = make_job("measure_decoupling", SPEC | changes, {"located": paths}, {"part": out})
        measure_decoupling.run(job)
        outputs = {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.parquet"}
        join_parts.run(
            make_job("join_parts", {"table": "decoupling"}, {"parts": [out, out]}, outputs)
        )
        assert len(pl.read_parquet(outputs["parquet"])) == 2 * len(pl.read_parquet(out))
        return pl.read_parquet(out)

    return scores, rows, measure


def one(table, **where):
    row = table.filter(*[pl.col(k) == v for k, v in where.items()])
    assert len(row) == 1, row
    return row.to_dicts()[0]


def test_numbers_are_those_of_the_definition(by_hand):
    scores, _, measure = by_hand
    table = measure()
    sets = {key: set(np.flatnonzero(s >= 0.2 * s.max())) for key, s in scores.items()}
    named = {"pairs": "known", "rule": "0.2 x max", "norm": "size", "control": ""}
    found = one(table, comparison="C12", metric="coincidence", **named)
    each = [
        len(sets[k, "10"] & sets[k, "20"]) * 2 / (len(sets[k, "10"]) + len(sets[k, "20"]))
        for k in range(5)
    ]
    assert found["value"] == pytest.approx(np.mean(each))
    assert found["ci_low"] < found["value"] < found["ci_high"] and found["n"] == 5
    common = set.intersection(*(sets[k, "20"] for k in range(5)))
    size = np.mean([len(sets[k, "20"]) for k in range(5)])
    found = one(table, comparison="C22", metric="coincidence", **named)
    assert found["value"] == pytest.approx(len(common) / size)
    literal = one(table, comparison="C22", metric="coincidence", **named | {"norm": "LJ"})
    assert literal["value"] == pytest.approx(len(common) / (LAYERS * WIDTH))
    curve = one(table, comparison="C22", metric="curve", n_sets=5, **named)
    assert curve["value"] == pytest.approx(len(common) / size)
    # top 30 % are 6 of 20 units
    top = {k: set(np.argsort(-s.ravel())[:6]) for k, s in scores.items()}
    named |= {"rule": "top 30 %", "norm": "LJ", "metric": "coincidence"}
    both = np.mean([len(top[k, "10"] & top[k, "20"]) / 20 for k in range(5)])
    assert one(table, comparison="C12", **named)["value"] == pytest.approx(both)
    all_common = set.intersection(*(top[k, "10"] for k in range(5)))
    assert one(table, comparison="C11", **named)["value"] == pytest.approx(len(all_common) / 20)
    chance = one(table, comparison="C12", **named | {"control": "expected uniform"})
    assert chance["value"] == pytest.approx(0.3**2)
    chance = one(table, comparison="C11", **named | {"control": "expected uniform"})
    assert chance["value"] == pytest.approx(0.3**5)
    whole = one(table, comparison="C12", **named | {"pairs": "all"})
    assert whole["n"] == 6


def test_the_primary_numbers_are_the_two_main_effects(by_hand):
    table = by_hand[2]()
    primary = table.filter(pl.col("role") == "primary")
    assert sorted(primary["comparison"]) == ["main part", "task"]
    assert set(primary["pairs"]) == {"known"}


def test_what_is_left_out_is_counted(by_hand):
    _, rows, measure = by_hand
    rows = [dict(row) for row in rows]
    rows[0]["units"] = []  # a prompt of p0 locates nothing
    del rows[9]  # a prompt of p2 is not there
    table = measure(rows)
    assert one(table, metric="pairs", pairs="all")["value"] == 4
    assert one(table, metric="pairs", pairs="known")["value"] == 3
    assert one(table, metric="empty_sets")["value"] == 1
    assert one(table, metric="multi_token_answers")["value"] == 4
    assert one(table, metric="dropped")["interval"] == "too long"
    assert one(table, metric="accuracy", comparison="part 1, form 0")["value"] == pytest.approx(
        5 / 6
    )


def test_a_model_that_answers_nothing_has_no_numbers_for_known_pairs(by_hand):
    _, rows, measure = by_hand
    table = measure([row | {"correct": False} for row in rows])
    row = one(table, pairs="known", comparison="task", metric="effect")
    assert (row["value"], row["interval"]) == (None, "not computed: n = 0, needs 3")
    assert one(table, pairs="all", comparison="task", metric="effect", control="")["n"] == 6


def test_prompts_that_were_all_left_out_have_no_numbers(by_hand):
    table = by_hand[2]([])
    row = one(table, metric="accuracy", comparison="part 2, form 1")
    assert (row["value"], row["interval"], row["n"]) == (None, "not computed: n = 0, needs 1", 0)
    assert (
        one(table, metric="empty_sets")["value"]
        == one(table, metric="pairs", pairs="all")["n"]
        == 0
    )

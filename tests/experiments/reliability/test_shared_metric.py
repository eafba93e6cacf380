"""The shared metric: rankings, sets and falls against slow loops; the table against hand values."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from test_reliability_stages import NAMED, facts, folder, located  # noqa: F401

from caploc.experiments.reliability import ablate_units, measure_ablation
from caploc.experiments.reliability.ablate_units import (
    NOT_LOCATED,
    NOTHING_FITS,
    NOTHING_RANKED,
    OUTCOMES,
)
from caploc.files import store, tables
from caploc.locators import circuit
from caploc.measures.budgets import Units
from caploc.models.loading import load_model

LAYERS, WIDTH, HEADS = 3, 24, 4
# 3 x 16 weights a neuron, 4 x 16 x 4 a head
UNITS = Units(LAYERS, WIDTH, HEADS, 48, 256)
BUDGETS = [0.01, 0.05, "ffn_layer"]  # 65, 326 and 1152 weights
NAMES = ["1 % of weights", "5 % of weights", "one FFN layer"]
SPEC = NAMED | {"budgets": BUDGETS, "draws": 3, "texts": 2, "shard": 0, "shard_size": 100,
                "locators": ["kn", "rome", "circuit"]}  # fmt: skip
SUBJECTS = ["a b", "c d", "e f"]
ANSWERS = ["one", "two", "three"]


def scores(size, seed):
    return np.random.default_rng(seed).normal(size=size)


@pytest.fixture
def inputs(facts):  # noqa: F811
    """KN finds nothing positive for f1."""
    lm = load_model(facts / "hf", dtype="float64", device="cpu")
    n_edges = circuit.graph_of(lm).n_edges
    every = {"x": lambda i: [0]}

    def of_neurons(i):
        values = scores(LAYERS * WIDTH, i)
        return (-np.abs(values) if i == 1 else values).tolist()

    files = {
        "kn": ("ffn neuron", [WIDTH] * LAYERS, of_neurons),
        "rome": ("layer", [1] * LAYERS, lambda i: scores(LAYERS, 10 + i).tolist()),
        "circuit": (
            "edge", np.bincount(circuit.graph_of(lm).edge_layer).tolist(),
            lambda i: scores(n_edges, 20 + i).tolist(),
        ),
    }  # fmt: skip
    found = {
        name: [located(facts / f"{name}.pq", unit, sizes, values, every)]
        for name, (unit, sizes, values) in files.items()
    }
    texts = [
        {"sample_id": f"t{i}", "prompt": f"a {w}", "answer": " i j"} for i, w in enumerate("bc")
    ]
    store.write_table(pa.Table.from_pylist(texts), facts / "neutral.pq", {"origin": {}})
    found["means"] = found["kn"]
    found |= {"neutral": [facts / "neutral.pq"], "manifest": [facts / "manifest.json"]}
    return lm, found | {"prompts": [facts / "prompts.pq"]}


@pytest.fixture
def ablated(inputs, tmp_path, make_job):
    lm, files = inputs

    def run(spec=SPEC, files=files):
        out = tmp_path / "ablated.pq"
        ablate_units.run(make_job("ablate_units", spec, files, {"outcomes": out}))
        return pl.read_parquet(out), store.read_metadata(out)

    return lm, files, run


def fall(lm, prompt, answer, ids):
    """Fall of the log-probability per answer token, one pass and one hook for each unit."""
    handles = []

    def silence(module, start, stop):
        def hook(module, args):
            x = args[0].clone()
            x[..., start:stop] = 0
            return (x,)

        handles.append(module.register_forward_pre_hook(hook))

    def logprob():
        ids = lm.tokenizer(prompt)["input_ids"][:-1]
        gold = [lm.tokenizer.convert_tokens_to_ids(word) for word in answer.split()]
        with torch.no_grad():
            z = lm.model(input_ids=torch.tensor([ids + gold[:-1]])).logits[0, len(ids) - 1 :]
        return torch.log_softmax(z, -1)[torch.arange(len(gold)), gold].mean().item()

    before = logprob()
    for unit in ids:
        if unit < 72:
            silence(lm.projections[unit // WIDTH], unit % WIDTH, unit % WIDTH + 1)
        elif unit < 84:
            layer, head = divmod(unit - 72, HEADS)
            silence(lm.blocks[layer].self_attn.o_proj, 4 * head, 4 * head + 4)
        else:
            silence(lm.projections[unit - 84], 0, WIDTH)
    after = logprob()
    for handle in handles:
        handle.remove()
    return before - after


def ranking(lm, locator, i):
    """The order of the units, from the scores alone."""
    if locator == "kn":
        values = scores(72, i).astype(np.float32)
        return [j for j in sorted(range(72), key=lambda j: -values[j]) if values[j] > 0]
    if locator == "cnl":
        own = [scores(72, 0), -np.abs(scores(72, 1)), scores(72, 2)]
        mean = np.mean([s.astype(np.float32).astype(float) for s in own], axis=0)
        return sorted(range(72), key=lambda j: -abs(mean[j] - mean.mean()))
    if locator == "rome":
        seen = {}
        handles = [
            p.register_forward_pre_hook(lambda m, a, k=k: seen.update({k: a[0][0, 2]}))
            for k, p in enumerate(lm.projections)
        ]  # <s>, two tokens of the subject: the last one is at position 2
        lm.model(input_ids=torch.tensor([lm.tokenizer(f"{SUBJECTS[i]} =")["input_ids"][:-1]]))
        for handle in handles:
            handle.remove()
        size = {
            k * WIDTH + j: abs(w[j].item()) * lm.projections[k].weight[:, j].norm().item()
            for k, w in seen.items()
            for j in range(WIDTH)
        }
        effects = scores(LAYERS, 10 + i)
        return sorted(size, key=lambda j: (-effects[j // WIDTH], -size[j]))
    graph = circuit.graph_of(lm)
    sums = dict.fromkeys(range(72, 87), 0.0)
    edges = iter(scores(graph.n_edges, 20 + i).astype(np.float32))
    for n_sources in graph.sources_read:
        for source in range(n_sources):
            score = abs(float(next(edges)))
            if source:
                layer, k = divmod(source - 1, HEADS + 1)
                sums[72 + layer * HEADS + k if k < HEADS else 84 + layer] += score
    return sorted(sums, key=lambda unit: -sums[unit])


def filled(order, budget):
    taken = []
    for unit in order:
        price = 48 if unit < 72 else 256 if unit < 84 else 1152
        if price <= budget:
            taken.append(unit)
            budget -= price
    return taken


def test_located_sets_are_the_filled_rankings_silenced(ablated):
    lm, _, run = ablated
    table, about = run()
    assert about["units"] == {
        "n_layers": 3, "n_neurons": 24, "n_heads": 4, "neuron_cost": 48, "head_cost": 256,
    }  # fmt: skip
    assert about["budgets"] == dict(zip(NAMES, (65, 326, 1152), strict=True))
    assert set(table["fact_id"]) == {"f0", "f1", "f2"}  # the model does not know f3
    for locator in ("kn", "cnl", "rome", "circuit"):
        for i in range(3):
            order = ranking(lm, locator, i) if (locator, i) != ("kn", 1) else []
            for name, budget in zip(NAMES, (65, 326, 1152), strict=True):
                wanted = filled(order, budget)
                (row,) = table.filter(locator=locator, budget=name, fact_id=f"f{i}").to_dicts()
                if not wanted:
                    assert row["reason"] == (NOTHING_FITS if order else NOTHING_RANKED)
                    assert row["logprob_fall"] is None
                    continue
                assert row["reason"] == ""
                assert (row["neurons"], row["heads"], row["ffn_layers"]) == UNITS.counts(
                    np.array(wanted)
                )
                assert row["weights"] == UNITS.cost(np.array(wanted)) <= budget
                own = fall(lm, f"{SUBJECTS[i]} =", ANSWERS[i], wanted)
                assert row["logprob_fall"] == pytest.approx(own, abs=1e-10)
                other = np.mean([fall(lm, f"a {w}", "i j", wanted) for w in "bc"])
                assert row["fluency_fall"] == pytest.approx(other, abs=1e-10)
    assert table.filter(reason=NOTHING_FITS)["locator"].unique().to_list() == ["circuit"]
    # about half of 72 neurons have a positive score, one layer's worth is 24
    assert not table["short"].any()


def test_random_sets_have_the_same_units_and_are_one_for_all_facts(ablated):
    lm, _, run = ablated
    table, _ = run()
    random = table.filter(pl.col("draw").is_not_null())
    own = table.filter((pl.col("locator") != "") & (pl.col("reason") == ""))
    keys = ["fact_id", "neurons", "heads", "ffn_layers"]
    assert set(random.select(keys).rows()) == set(own.select(keys).rows())
    assert random.group_by(keys).len()["len"].unique().to_list() == [3]
    for row in random.to_dicts():
        counts = (row["neurons"], row["heads"], row["ffn_layers"])
        ids = UNITS.draw(counts, np.random.default_rng([0, row["draw"], *counts]))
        assert UNITS.counts(ids) == counts and row["weights"] == UNITS.cost(ids)
        i = int(row["fact_id"][1])
        wanted = fall(lm, f"{SUBJECTS[i]} =", ANSWERS[i], ids)
        assert row["logprob_fall"] == pytest.approx(wanted, abs=1e-10)


def test_what_has_no_set_or_ends_early_is_said(ablated):
    _, files, run = ablated
    only = pl.read_parquet(files["rome"][0]).filter(pl.col("fact_id") != "f2")
    metadata = store.read_metadata(files["rome"][0])
    table = pa.Table.from_pylist(only.to_dicts(), schema=store.read_table(files["rome"][0]).schema)
    store.write_table(table, files["rome"][0], metadata)
    table, _ = run(SPEC | {"budgets": [0.5]})
    (row,) = table.filter(locator="rome", fact_id="f2").to_dicts()
    assert row["reason"] == NOT_LOCATED
    # half of the weights is 68 neurons: fewer have a positive score
    (row,) = table.filter(locator="kn", fact_id="f0").to_dicts()
    assert row["short"] and row["neurons"] == (scores(72, 0) > 0).sum()
    assert not table.filter(locator="rome", fact_id="f0")["short"].item()


def test_shards_are_parts_of_the_whole_and_text_is_optional(ablated):
    _, files, run = ablated
    whole, _ = run()
    parts = [run(SPEC | {"shard": shard, "shard_size": 2})[0] for shard in (0, 1, 2)]
    assert len(parts[2]) == 0
    order = ["fact_id", "locator", "budget", "draw", "neurons", "heads", "ffn_layers"]
    joined = pl.concat(parts[:2]).sort(order)
    whole = whole.sort(order)
    assert joined.drop("logprob_fall", "fluency_fall").equals(
        whole.drop("logprob_fall", "fluency_fall")
    )
    for name in ("logprob_fall", "fluency_fall"):
        a, b = (t[name].fill_null(9).to_numpy() for t in (joined, whole))
        assert a == pytest.approx(b, abs=1e-12)
    silent, about = run(files=files | {"neutral": []})
    assert about["n_texts"] == 0 and silent["fluency_fall"].is_null().all()


# The table ----------------------------------------------------------------------------------------

MEASURE = {"model": "m", "facts": "f", "minimum": 2, "draws": 3, "seed": 0}


@pytest.fixture
def measured(tmp_path, make_job):
    def write(rows, n_texts=1, **spec):
        paths = []
        for k in range(2):  # two shards
            own = [r for r in rows if int(r["fact_id"][1]) % 2 == k]
            paths.append(tmp_path / f"s{k}.pq")
            about = {"units": {**UNITS_JSON}, "budgets": {"1 % of weights": 65}}
            about |= {"n_texts": n_texts, "n_known": 3}
            about["rankings"] = dict.fromkeys(("kn", "rome", "circuit", "cnl"), "in words")
            table = tables.gathered([pl.DataFrame(own, OUTCOMES)], OUTCOMES)
            tables.write_part(table, paths[-1], {}, **about)
        part = tmp_path / "part.pq"
        job = make_job("measure_ablation", MEASURE | spec, {"outcomes": paths}, {"part": part})
        measure_ablation.run(job)
        return pl.read_parquet(part)

    return write


UNITS_JSON = {"n_layers": 3, "n_neurons": 24, "n_heads": 4, "neuron_cost": 48, "head_cost": 256}
ONE = {"neurons": 1, "heads": 0, "ffn_layers": 0, "weights": 48}


def outcomes():
    """KN: falls of 1, 2, 3 nat; draws fall by 0.1 x fact + 0, 1, 4; neutral text by 0.5."""
    rows = []
    for i in range(3):
        kn = {"fact_id": f"f{i}", "locator": "kn", "budget": "1 % of weights", "short": i == 2}
        rows.append(kn | ONE | {"logprob_fall": i + 1.0, "fluency_fall": 0.5})
        for r, value in enumerate((0.0, 1.0, 4.0)):
            draw = {"fact_id": f"f{i}", "draw": r, "fluency_fall": (0.1, 0.2, 0.6)[r]}
            rows.append(ONE | draw | {"logprob_fall": 0.1 * i + value})
        left = {"fact_id": f"f{i}", "locator": "circuit", "budget": "1 % of weights"}
        rows.append(left | {"reason": NOTHING_FITS})
    return rows


def test_the_table_holds_hand_values(measured):
    table = measured(outcomes())

    def one(**where):
        (row,) = table.filter(**where).to_dicts()
        return row

    kn = {"locator": "kn", "metric": "shared_logprob_fall"}
    located_row = one(**kn, control="")
    assert located_row["value"] == 2.0 and located_row["n"] == 3
    assert 1 <= located_row["ci_low"] < 2 < located_row["ci_high"] <= 3
    random = one(**kn, control="random")
    assert random["value"] == pytest.approx(5 / 3 + 0.1) and random["n_draws"] == 3
    both = one(**kn, control="located minus random")
    assert both["value"] == pytest.approx(2 - 5 / 3 - 0.1)
    # means of the draws: 0.1, 1.1, 4.1; one of three is at least 2
    assert both["p"] == (1 + 1) / (3 + 1) and both["role"] == "exploratory"
    text = {"locator": "kn", "metric": "shared_fluency_fall"}
    assert one(**text, control="")["interval"] == "the same sets for all facts"
    assert one(**text, control="located minus random")["value"] == pytest.approx(0.2)
    assert one(locator="kn", metric="shared_short")["value"] == 1
    assert one(locator="kn", metric="shared_units")["value"] == 1
    assert one(locator="kn", metric="shared_share")["value"] == pytest.approx(48 / 6528)
    assert one(metric="shared_budget")["value"] == 65
    left = one(locator="circuit", metric="shared_left_out")
    assert (left["value"], left["n"], left["interval"]) == (3, 3, NOTHING_FITS)
    empty = one(locator="circuit", metric="shared_logprob_fall")
    assert empty["value"] is None and empty["interval"] == "not computed: n = 0, needs 2"
    assert "shared_sets" not in table["metric"].to_list()


def test_few_different_sets_and_missing_text_are_said(measured):
    rows = [
        r | ({"neurons": 0, "ffn_layers": 1, "fluency_fall": None} if "neurons" in r else {})
        for r in outcomes()
    ]
    # three draws of one of three layers
    table = measured(rows, n_texts=0, draws=3)
    assert "shared_sets" not in table["metric"].to_list()
    text = table.filter(locator="kn", metric="shared_fluency_fall").to_dicts()
    assert [row["interval"] for row in text] == ["not computed: the run has no neutral text"]
    more = [r | {"draw": 3} for r in rows if r.get("draw") == 0]
    table = measured(rows + more, n_texts=0, draws=4)
    assert table.filter(metric="shared_sets")["value"].to_list() == [3]

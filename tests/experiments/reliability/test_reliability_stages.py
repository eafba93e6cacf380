"""From located sets to the table `reliability`: a small model, and outcomes written by hand."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from manifests import write_manifest

from caploc.experiments.reliability import (
    edit_facts,
    measure_reliability,
    sum_keys,
    validate_circuit,
    validate_kn,
)
from caploc.files import store, tables
from caploc.files.located import LOCATED
from caploc.interventions.second_moment import Moments
from caploc.models.loading import load_model
from caploc.records import DataError
from caploc.stages import join_parts
from caploc.stages.prepare_facts import FACTS
from caploc.stages.recall_facts import PROMPTS

PLACE = {"model": "m", "dtype": "float64", "device": "cpu", "family": "llama"}
NAMED = PLACE | {"facts": "f", "seed": 0}
EDIT = {
    "ridge": 0.01, "prefixes": [[2, 3]], "steps": 5, "learning_rate": 0.5, "weight_decay": 0.5,
    "kl": 0.06, "clamp": 4.0, "paraphrases": 2, "neighbours": 2, "fluency_tokens": 4,
    "batch_facts": 2, "edited_layers": None, "layer": None,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, save_model):
    path = save_model()
    write_manifest(tmp_path / "manifest.json", path)
    return path


def texts(path, n):
    rows = [{"prompt": f"a b {'cdefghij'[i % 8]} =", "answer": " one two"} for i in range(n)]
    store.write_table(pa.Table.from_pylist(rows), path, {"origin": {}})
    return path


# Second moments ---------------------------------------------------------------------------------


def test_second_moments_go_on_after_a_kill_and_cover_every_layer(
    tmp_path, make_job, folder, monkeypatch
):
    monkeypatch.setattr(sum_keys, "_EVERY", 4)
    # two layers of 24 x 24 float64 fit in the first pass of a budget that is rounded up to one
    spec = PLACE | {"texts": 9, "memory_mb": 1}
    inputs = {
        "manifest": [tmp_path / "manifest.json"],
        "samples": [texts(tmp_path / "a.parquet", 6), texts(tmp_path / "b.parquet", 6)],
    }
    output = tmp_path / "moments/moments.json"
    job = make_job("sum_keys", spec, inputs, {"moments": output})
    added = []
    add = Moments.add

    def stops(self, lm, chunk):
        if len(added) == 1:
            raise KeyboardInterrupt
        added.append(len(chunk))
        add(self, lm, chunk)

    monkeypatch.setattr(Moments, "add", stops)
    with pytest.raises(KeyboardInterrupt):
        sum_keys.run(job)
    assert not output.exists()

    def counts(self, lm, chunk):
        added.append(len(chunk))
        add(self, lm, chunk)

    monkeypatch.setattr(Moments, "add", counts)
    sum_keys.run(job)
    assert added == [4, 4, 1]  # nothing twice
    lm = load_model(folder, dtype="float64", device="cpu")
    whole = Moments.empty(lm, range(3))
    rows = [f"a b {'cdefghij'[i % 8]} = one two" for i in [*range(6), *range(3)]]
    add(whole, lm, [lm.tokenizer(row)["input_ids"][:-1] for row in rows])  # without the end of text
    for layer in range(3):
        found = sum_keys.read_moment(output, layer)
        assert torch.allclose(found, whole.mean(layer), rtol=1e-12)
    written = store.read_json(output)
    assert (written["n_texts"], written["n_tokens"]) == (9, whole.n_tokens)
    file = output.with_name("layer-0001.safetensors")
    assert file.name in written["files"]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"its content changed; delete .*moments\.json"):
        sum_keys.read_moment(output, 1)


def test_no_text_is_an_error(tmp_path, make_job, folder):
    inputs = {"manifest": [tmp_path / "manifest.json"], "samples": [texts(tmp_path / "a.pq", 0)]}
    spec = PLACE | {"texts": 9, "memory_mb": 1}
    job = make_job("sum_keys", spec, inputs, {"moments": tmp_path / "m.json"})
    with pytest.raises(DataError):
        sum_keys.run(job)


# Validations on a small model -------------------------------------------------------------------


@pytest.fixture
def facts(tmp_path, folder):
    """Four facts, one of them unknown, one without a twin of the relation; files of the stages."""
    rows, prompts = [], []
    for i, (subject, relation, obj) in enumerate(
        (("a b", "r", "one"), ("c d", "r", "two"), ("e f", "s", "three"), ("g h", "r", "four"))
    ):
        rows.append(
            {
                "fact_id": f"f{i}", "subject": subject, "relation": relation, "object": obj,
                "prompts": [f"{subject} =", f"? {subject} ="], "paraphrases": [],
                "neighbourhood": ["i j ="] if i == 0 else [], "new_object": "",
            }
        )  # fmt: skip
        prompts.append(
            {
                "fact_id": f"f{i}", "subject": subject, "relation": relation, "object": obj,
                "prompt_id": 0, "kind": "original", "rank": 0, "prompt": f"{subject} =",
                "correct": i != 3, "probability": 0.5, "reason": "", "counterfactual": "i j =",
                "counterfactual_object": "four",
            }
        )  # fmt: skip
    tables.write_part(pl.DataFrame(rows, FACTS), tmp_path / "facts.pq", {})
    tables.write_part(pl.DataFrame(prompts, PROMPTS), tmp_path / "prompts.pq", {})
    return tmp_path


def located(path, unit, per_layer, scores, rules):
    rows = [
        {"fact_id": f"f{i}", "prompt_id": 0, "rule": rule, "units": units(i),
         "scores": scores(i) if k == 0 else None}
        for i in range(4)
        for k, (rule, units) in enumerate(rules.items())
    ]  # fmt: skip
    about = {"unit": unit, "per_layer": per_layer, "dropped": []}
    tables.write_part(pl.DataFrame(rows, LOCATED), path, {}, **about)
    return path


def inputs_of(facts, path, *more):
    named = {"manifest": [facts / "manifest.json"], "prompts": [facts / "prompts.pq"]}
    return named | {"located": [path]} | dict(more)


def test_knowledge_neurons_are_scaled_and_random_sets_beside_them(facts, make_job, folder):
    path = located(
        facts / "kn.pq", "ffn neuron", [24] * 3, lambda i: [0.0] * 72,
        {"0.2 x max": lambda i: [] if i == 2 else [i, 30, 31]},
    )  # fmt: skip
    out = facts / "out.pq"
    spec = NAMED | {"draws": 2}
    validate_kn.run(make_job("validate_kn", spec, inputs_of(facts, path), {"outcomes": out}))
    table = pl.read_parquet(out)
    assert store.read_metadata(out)["empty"] == 1 and store.read_metadata(out)["n_known"] == 3
    # two facts locate something: one located set, three draws of either kind
    assert table.group_by("fact_id").len()["len"].to_list() == [7, 7]
    assert set(table["n_units"]) == {3}
    lm = load_model(folder, dtype="float64", device="cpu")
    row = table.filter(control="", fact_id="f1").to_dicts()[0]
    ids = torch.tensor([lm.tokenizer("c d =", add_special_tokens=True)["input_ids"][:-1]])
    target = lm.tokenizer.convert_tokens_to_ids("two")

    def probability(factor):
        def change(layer, neurons):
            def hook(module, args):
                x = args[0].clone()
                x[0, -1, neurons] *= factor
                return (x,)

            return lm.projections[layer].register_forward_pre_hook(hook)

        handles = [change(0, [1]), change(1, [6, 7])]
        p = torch.softmax(lm.model(input_ids=ids).logits[0, -1], -1)[target].item()
        for handle in handles:
            handle.remove()
        return p

    for name, factor in (("probability", 1.0), ("suppressed", 0.0), ("enhanced", 2.0)):
        assert row[name] == pytest.approx(probability(factor), rel=1e-9)


def test_circuits_run_alone_beside_connected_ones(facts, make_job, folder):
    from caploc.locators import circuit

    lm = load_model(folder, dtype="float64", device="cpu")
    graph = circuit.graph_of(lm)
    everything = list(range(graph.n_edges))
    path = located(
        facts / "c.pq", "edge", np.bincount(graph.edge_layer).tolist(),
        lambda i: [0.0] * graph.n_edges,
        {"100 % of edges": lambda i: everything, "1 % of edges": lambda i: [],
         "5 % of edges": lambda i: [0]},
    )  # fmt: skip
    out = facts / "out.pq"
    spec = NAMED | {"draws": 2, "ablation": "zero", "shares": [1.0, 0.01]}
    job = make_job("validate_circuit", spec, inputs_of(facts, path), {"outcomes": out})
    validate_circuit.run(job)
    table = pl.read_parquet(out)
    assert len(table) == 3 * 2 * 4
    whole = table.filter(rule="100 % of edges", control="", fact_id="f0").to_dicts()[0]
    ids = torch.tensor([lm.tokenizer("a b =")["input_ids"][:-1]])
    z = lm.model(input_ids=ids).logits[0, -1]
    target = lm.tokenizer.convert_tokens_to_ids("one")
    assert whole["rank"] == int((z >= z[target]).sum())
    assert whole["n_units"] == graph.n_edges
    assert set(table.filter(rule="1 % of edges")["n_units"]) == {0}


def test_every_layer_is_edited_and_the_model_comes_back(facts, make_job, folder):
    path = located(
        facts / "r.pq", "layer", [1] * 3, lambda i: [0.1, 0.3 + i, 0.2],
        {"best layer": lambda i: [1]},
    )  # fmt: skip
    moments = facts / "moments.json"
    inputs = {"manifest": [facts / "manifest.json"], "samples": [texts(facts / "a.pq", 5)]}
    spec = PLACE | {"texts": 3, "memory_mb": 1}
    sum_keys.run(make_job("sum_keys", spec, inputs, {"moments": moments}))
    loaded = []
    model_of = edit_facts.model_of

    def kept(*args):
        loaded.append(model_of(*args))
        loaded.append([p.clone() for p in loaded[0].model.parameters()])
        return loaded[0]

    out = facts / "out.pq"
    more = [("facts", [facts / "facts.pq"]), ("moments", [moments])]
    job = make_job("edit_facts", NAMED | EDIT, inputs_of(facts, path, *more), {"outcomes": out})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edit_facts, "model_of", kept)
        edit_facts.run(job)
    lm, before = loaded
    assert all(torch.equal(a, b) for a, b in zip(before, lm.model.parameters(), strict=True))
    about = store.read_metadata(out)
    assert about["dropped"] == {"no new object: none in the data, no other one of the relation": 1}
    assert about["singular_layers"] == [0, 1, 2]  # 18 tokens for 24 neurons
    table = pl.read_parquet(out)
    # two facts; the unedited model and three layers
    assert sorted(table["layer"].to_list()) == sorted([-1, 0, 1, 2] * 2)
    row = table.filter(fact_id="f1", layer=1).to_dicts()[0]
    assert row["effect"] == pytest.approx(1.3)
    assert (row["n_paraphrases"], row["n_neighbours"]) == (1, 0)
    assert row["neighbourhood"] is None
    assert row["efficacy"] == float(row["margin"] > 0)
    own = table.filter(fact_id="f0")
    assert own["n_neighbours"].to_list() == [1] * 4
    # an edit moves the preference towards the new object
    margins = dict(zip(own["layer"], own["margin"], strict=True))
    assert max(margins[layer] for layer in range(3)) > margins[-1]


@pytest.mark.parametrize(
    ("n_layers", "edited", "layer", "chosen"),
    [
        (4, None, None, [0, 1, 2, 3]), (30, 6, None, [0, 6, 12, 17, 23, 29]),
        (30, 2, 5, [0, 5, 29]), (3, 9, None, [0, 1, 2]),
    ],
)  # fmt: skip
def test_layers_that_are_edited(n_layers, edited, layer, chosen):
    told = SimpleNamespace(edited_layers=edited, layer=layer)
    assert edit_facts.chosen_layers(n_layers, told) == chosen


def test_a_layer_that_the_model_has_not():
    told = SimpleNamespace(edited_layers=None, layer=7)
    with pytest.raises(DataError, match=r"rome\.layer is 7, the model has layers 0 to 3"):
        edit_facts.chosen_layers(4, told)


# From outcomes to the table ---------------------------------------------------------------------

SPEC = {"model": "m", "facts": "f", "minimum": 2, "layer": None, "seed": 0}


@pytest.fixture
def measure(tmp_path, make_job):
    def write(kn, circuit, edits, spec=SPEC, dropped=None):
        files = {}
        for name, (rows, schema, about) in {
            "kn": (kn, validate_kn.OUTCOMES, {"n_known": 3, "empty": 1}),
            "circuit": (circuit, validate_circuit.OUTCOMES, {"n_known": 3, "empty": 0}),
            "edits": (
                edits, edit_facts.OUTCOMES,
                {"dropped": dropped or {}, "singular_layers": [1], "n_layers": 2},
            ),
        }.items():  # fmt: skip
            files[name] = [tmp_path / f"{name}.pq"]
            tables.write_part(pl.DataFrame(rows, schema), files[name][0], {}, **about)
        part = tmp_path / "part.pq"
        measure_reliability.run(make_job("measure_reliability", spec, files, {"part": part}))
        outputs = {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.pq"}
        join_parts.run(make_job("join_parts", {"table": "reliability"}, {"parts": [part]}, outputs))
        return pl.read_parquet(outputs["parquet"])

    return write


def kn_rows():
    """Two facts: P 0.5 and 0.1; located suppressed to 0.2 and 0.1, draws to less; see below."""
    suppressed = {"": [(0.2, 0.1)], "layer": [(0.4, 0.05), (0.45, 0.1), (0.5, 0.1)]}
    suppressed["uniform"] = suppressed["layer"]
    return [
        {
            "fact_id": f"f{i}", "rule": "0.2 x max", "control": control, "draw": r, "n_units": 4,
            "probability": (0.5, 0.1)[i], "suppressed": values[i],
            "enhanced": (0.5, 0.1)[i] + 0.06,
        }
        for control, draws in suppressed.items()
        for r, values in enumerate(draws)
        for i in range(2)
    ]  # fmt: skip


def circuit_rows():
    ranks = {"": [(1, 8)], "connected": [(20, 3), (9, 11), (1, 1)]}
    return [
        {"fact_id": f"f{i}", "rule": "10 % of edges", "control": control, "draw": r, "n_units": 5,
         "rank": values[i], "log_probability": -1.0}
        for control, draws in ranks.items()
        for r, values in enumerate(draws)
        for i in range(2)
    ]  # fmt: skip


def edit_rows():
    """Fact 0 succeeds in layer 0, fact 1 in both; effects are largest in layer 1 on average."""
    cells = {
        (0, -1): (None, -2.0, 0.0), (0, 0): (0.3, 3.0, 1.0), (0, 1): (0.2, -1.0, 0.0),
        (1, -1): (None, -2.0, 0.0), (1, 0): (0.0, 2.0, 1.0), (1, 1): (0.4, 1.0, 1.0),
    }  # fmt: skip
    return [
        {"fact_id": f"f{i}", "layer": layer, "effect": effect, "margin": margin, "efficacy": hit,
         "paraphrase": hit, "neighbourhood": 0.5 if i == 0 else None, "fluency": 3.0,
         "n_paraphrases": 2, "n_neighbours": 1 - i}
        for (i, layer), (effect, margin, hit) in cells.items()
    ]  # fmt: skip


def value(table, **where):
    row = table.filter(*[pl.col(k) == v for k, v in where.items()])
    assert len(row) == 1, row
    return row.to_dicts()[0]


def test_only_some_layers_were_edited(measure):
    """Layers 3 and 9 in place of 0 and 1: the same numbers under their own names."""
    names = {0: 3, 1: 9, -1: -1}
    rows = [row | {"layer": names[row["layer"]]} for row in edit_rows()]
    own = {"locator": "rome", "measure": "efficacy", "metric": "ipp"}
    table = measure(kn_rows(), circuit_rows(), rows)
    assert value(table, rule="fixed layer 9", **own)["value"] == pytest.approx(0.5 - 1.0)
    table = measure(kn_rows(), circuit_rows(), rows, SPEC | {"layer": 3})
    assert value(table, rule="fixed layer 3", **own)["value"] == pytest.approx(1.0 - 0.5)


def test_numbers_are_those_worked_out_by_hand(measure):
    table = measure(kn_rows(), circuit_rows(), edit_rows())
    named = {"locator": "kn", "control": "layer", "measure": "suppress"}
    # (0.3 + 0) / 0.6 against the better of (0.1 + 0.05) / 0.6 and (0.05 + 0) / 0.6
    assert value(table, metric="located", **named)["value"] == pytest.approx(0.5)
    assert value(table, metric="ipp", **named)["value"] == pytest.approx(0.25)
    assert value(table, metric="best per fact", **named)["value"] == pytest.approx(0.25)
    assert value(table, metric="mean of random", **named)["value"] == pytest.approx(0.5 - 0.2 / 1.2)
    assert value(table, metric="ipp", **named)["n_draws"] == 2  # the spare draw is not counted
    named |= {"measure": "suppress and enhance"}
    assert value(table, metric="located", **named)["value"] == pytest.approx((0.5 + 0.2) / 2)
    assert value(table, metric="ipp", **named)["role"] == "primary"
    named = {"locator": "circuit", "control": "connected"}
    assert value(table, metric="ipp", measure="Hit@10", **named)["value"] == pytest.approx(0.5)
    assert value(table, metric="ipp", measure="Hit@1", **named)["value"] == pytest.approx(0.5)
    # mean effects 0.15 and 0.3: layer 1; it succeeds for one of two facts, layer 0 for both
    named = {"locator": "rome", "measure": "efficacy", "metric": "ipp"}
    assert value(table, rule="fixed layer 1", **named)["value"] == pytest.approx(0.5 - 1.0)
    traced = value(table, rule="traced layer of each fact", **named)
    assert traced["value"] == pytest.approx(1.0 - 1.0)
    score = value(table, locator="rome", measure="score", metric="facts_without")
    assert (score["value"], score["n"]) == (1, 2)
    singular = value(table, metric="singular")
    assert singular["layer"] == 1 and "regularised" in singular["interval"]
    mean = value(table, rule="every layer", layer=0, measure="margin")
    assert mean["value"] == pytest.approx(2.5)


def test_few_facts_are_not_computed(measure):
    table = measure(kn_rows(), circuit_rows(), edit_rows(), SPEC | {"minimum": 3})
    assert table.filter(pl.col("role") == "primary").is_empty()
    rows = table.filter(pl.col("metric") == "ipp")
    assert set(rows["interval"]) == {"not computed: n = 2, needs 3"}


def test_nothing_located_is_an_empty_table_of_numbers(measure):
    table = measure([], [], [], dropped={"not traced": 4})
    assert value(table, metric="dropped", locator="rome")["value"] == 4
    assert value(table, metric="dropped", locator="kn")["interval"] == "locates no neuron"
    missing = table.filter(pl.col("metric") == "ipp")
    assert sorted(missing["locator"]) == ["circuit", "kn", "rome"]
    assert set(missing["interval"]) == {"not computed: n = 0, needs 2"}

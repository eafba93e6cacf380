"""Maps of causal tracing: from the locator's result to means by role of the token."""

import numpy as np
import polars as pl
import pytest

from caploc.experiments.fidelity import tabulate_tracing
from caploc.experiments.fidelity.tabulate_tracing import ROLES, STATES, role_of
from caploc.files.located import LOCATED, stream_maps
from caploc.files.tables import write_part
from caploc.locators import rome
from caploc.stages import locate_facts
from caploc.stages.recall_facts import PROMPTS

LAYERS = 2
ORIGIN = {"origin": {"spec": {"model": "m", "facts": "f"}}}


def test_states_have_the_locators_order():
    assert STATES == rome.KINDS


@pytest.fixture
def tables(tmp_path, make_job):
    """Subjects: a two tokens, b one token that ends the prompt, c three tokens and not known."""
    rng = np.random.default_rng(0)
    subjects = {"a": (1, 2, 6), "b": (3, 3, 4), "c": (0, 2, 4)}
    maps, rows, prompts = {}, [], []
    for fact, (first, last, n) in subjects.items():
        maps[fact] = rng.normal(size=(3, n, LAYERS))
        result = rome.Tracing(
            maps[fact], 0.9, 0.1, tuple(f"{fact}{i}" for i in range(n)), (first, last)
        )
        row = {"fact_id": fact, "prompt_id": 0}
        sets = rome.located(result, top=1) | {"other rule": np.zeros(LAYERS, bool)}
        rows += locate_facts._table(row, sets, result.scores, rome.token_map(result)).to_dicts()
        prompts.append(
            {name: "" if kind == pl.String else None for name, kind in PROMPTS.items()}
            | {"fact_id": fact, "prompt_id": 0, "correct": fact != "c"}
        )
    located, asked = tmp_path / "located.pq", tmp_path / "prompts.pq"
    about = {"unit": "layer", "per_layer": [1] * LAYERS, "dropped": []}
    write_part(pl.DataFrame(rows, LOCATED), located, **ORIGIN, **about)
    write_part(pl.DataFrame(prompts, PROMPTS), asked, **ORIGIN)
    outputs = {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.pq"}

    def run(**changes):
        spec = {"shown": 1, "minimum": 2, "seed": 0} | changes
        inputs = {"prompts": [asked], "located": [located]}
        tabulate_tracing.run(make_job("tabulate_tracing", spec, inputs, outputs))
        return pl.read_parquet(outputs["parquet"])

    return maps, located, run


def test_a_map_comes_back_as_it_was(tables):
    maps, located, _ = tables
    found = list(stream_maps([located]))
    assert [m.fact_id for m in found] == ["a", "b", "c"]
    for one in found:
        assert one.effects == pytest.approx(maps[one.fact_id], abs=1e-6)
    assert [role_of(found[0], i) for i in range(6)] == [
        "", ROLES[0], ROLES[2], ROLES[3], ROLES[3], ROLES[4]
    ]  # fmt: skip
    assert [role_of(found[2], i) for i in range(4)] == [ROLES[0], ROLES[1], ROLES[2], ROLES[4]]
    assert role_of(found[1], 3) == ROLES[2]


def test_means_by_role_and_single_facts(tables):
    maps, _, run = tables
    table = run()

    def value(role, group, state, layer):
        row = table.filter(
            pl.col("fact") == "", position=role, facts=group, state=STATES[state], layer=layer
        )
        assert len(row) == 1
        return row.to_dicts()[0]

    both = value("last subject token", "known", 1, 0)
    assert both["value"] == pytest.approx((maps["a"][1, 2, 0] + maps["b"][1, 3, 0]) / 2, abs=1e-6)
    assert both["n"] == 2 and both["ci_low"] <= both["value"] <= both["ci_high"]
    every = value("last subject token", "all", 2, 1)
    wanted = np.mean([maps["a"][2, 2, 1], maps["b"][2, 3, 1], maps["c"][2, 2, 1]])
    assert every["value"] == pytest.approx(wanted, abs=1e-6)
    # one known fact has further tokens: too few to average
    assert value("further tokens", "known", 0, 0)["interval"] == "not computed: n = 1, needs 2"
    assert value("first subject token", "all", 0, 0)["value"] == pytest.approx(
        (maps["a"][0, 1, 0] + maps["c"][0, 0, 0]) / 2, abs=1e-6
    )
    lone = run(minimum=1).filter(
        pl.col("fact") == "", position="further tokens", facts="known", state="residual", layer=1
    )
    assert lone["value"].to_list() == [pytest.approx(maps["a"][0, 3:5, 1].mean(), abs=1e-6)]
    single = table.filter(pl.col("fact") != "")
    assert set(single["fact"]) == {"a"} and len(single) == 3 * 6 * LAYERS
    cell = single.filter(state="attention", token=4, layer=1).to_dicts()[0]
    assert cell["value"] == pytest.approx(maps["a"][2, 4, 1], abs=1e-6)
    assert cell["text"] == "a4" and cell["position"] == "further tokens"


def test_prompts_that_were_all_left_out_have_no_rows(tables):
    _, located, run = tables
    about = {"unit": "layer", "per_layer": [], "dropped": [["a", 0, "too long"]]}
    write_part(pl.DataFrame([], LOCATED), located, **ORIGIN, **about)
    assert len(run()) == 0


def test_without_tracing_the_table_is_empty(tmp_path, make_job):
    outputs = {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.pq"}
    spec = {"shown": 1, "minimum": 2, "seed": 0}
    job = make_job("tabulate_tracing", spec, {"prompts": [], "located": []}, outputs)
    tabulate_tracing.run(job)
    assert len(pl.read_parquet(outputs["parquet"])) == 0

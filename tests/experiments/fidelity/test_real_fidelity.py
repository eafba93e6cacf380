"""All locators on published facts through a really pretrained model; it knows none of them."""

from pathlib import Path

import polars as pl
import pytest
from manifests import write_manifest

from caploc import plugins
from caploc.experiments.fidelity import measure_fidelity
from caploc.stages import join_parts, locate_facts, prepare_facts, recall_facts

pytestmark = pytest.mark.shared

SHARED = Path(__file__).resolve().parents[4] / "shared"
MODEL = SHARED / "models/stories260K"
LOCATORS = {
    "kn": ({"steps": 4}, {"ratio": 0.2}),
    "kn_activation": ({}, {"ratio": 0.5}),
    "rome": ({"noise_samples": 2, "window": 2}, {"top": 2}),
    "circuit": ({"steps": 4}, {"shares": [0.026]}),
}
SETS = {
    "counterfact": "counterfact/counterfact-edit.json",
    "known_1000": "known_1000/known_1000.json",
}


@pytest.fixture(params=SETS)
def tables(request, tmp_path, make_job):
    """Prompts, and the table of all locators, for 24 facts."""
    if not MODEL.is_dir():
        pytest.skip(f"no model: {MODEL} is not there")
    place = {"model": "stories", "facts": "real", "dtype": "float32", "device": "cpu", "seed": 0}
    facts, prompts = tmp_path / "facts.parquet", tmp_path / "prompts.parquet"
    spec = {"facts": "real", "plugin": request.param, "n": 24, "seed": 0}
    spec["files"] = str(SHARED / "data" / SETS[request.param])
    prepare_facts.run(make_job("prepare_facts", spec, {}, {"facts": facts}))
    manifest = tmp_path / "manifest.json"
    write_manifest(manifest, MODEL)
    inputs = {"manifest": [manifest], "facts": [facts]}
    spec = place | {"rewrites": 1, "refine_prompts": 3, "own_rewrites": True}
    recall_facts.run(make_job("recall_facts", spec, inputs, {"prompts": prompts}))
    parts = []
    for locator, (locate, choose) in LOCATORS.items():
        spec = place | {"locator": locator, "locate": locate, "choose": choose, "shard": 0}
        spec |= {"rewrites": 1, "prompts": 1, "shard_size": 100}
        located = tmp_path / f"{locator}.parquet"
        inputs = {"manifest": [manifest], "prompts": [prompts]}
        locate_facts.run(make_job("locate_facts", spec, inputs, {"located": located}))
        spec = {
            "model": "stories", "facts": "real", "locator": locator, "rewrites": 1, "partners": 3,
            "n_draws": 2, "minimum": 2, "seed": 0, "ratio": choose.get("ratio"),
            "masks": {"s3": {"sigma": 3.0}},
        }  # fmt: skip
        parts.append(tmp_path / f"{locator}.part.parquet")
        inputs = {"prompts": [prompts], "located": [located]}
        measure_fidelity.run(make_job("measure_fidelity", spec, inputs, {"part": parts[-1]}))
    outputs = {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.parquet"}
    join_parts.run(make_job("join_parts", {"table": "fidelity"}, {"parts": parts}, outputs))
    return pl.read_parquet(prompts), pl.read_parquet(outputs["parquet"])


def test_every_locator_measures_every_control(tables):
    prompts, table = tables
    means = table.filter((pl.col("fact") == "") & (pl.col("facts") == "all"))
    overlaps = means.filter(pl.col("metric") == "overlap")
    for locator in LOCATORS:
        own = overlaps.filter(pl.col("locator") == locator)
        values = dict(
            own.filter(pl.col("rule") == own["rule"][0])["comparison", "value"].iter_rows()
        )
        assert values["rewrite"] is not None and 0 <= values["rewrite"] <= 1
        assert 0 <= values["random uniform"] < 0.5
        assert values["other relation"] is not None
        plugin = plugins.load("locators", locator)
        assert own["unit"].unique().to_list() == [plugin.UNIT]
    # a rewrite in nearly the same words locates more in common than chance does
    kn = overlaps.filter(pl.col("locator") == "kn")
    values = dict(kn["comparison", "value"].iter_rows())
    assert values["rewrite"] > values["random by layer"] > 0
    # it is a model of children's stories: facts are asked, none is known
    known = means = table.filter((pl.col("metric") == "facts") & (pl.col("facts") == "known"))
    assert known["value"].max() <= 1
    own = table.filter(pl.col("rewrite") == "own")["interval"].unique().to_list()
    assert len(own) == 1 and own[0].startswith("not available for this model: ")
    assert prompts["correct"].null_count() == 0

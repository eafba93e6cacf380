"""Planted models in miniature, through the workflow: both targets, in under two minutes."""

import json

import polars as pl
import pytest
import yaml
from workflow_copy import REPOSITORY, copy_repository

pytestmark = pytest.mark.workflow
RULES = {
    "plant_model", "check_plant", "measure_effects", "score_plant", "rank_plant", "check_null",
    "tabulate_known_answer", "write_known_answer",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished_plants(tmp_path_factory):
    workflow = copy_repository(tmp_path_factory.mktemp("plants") / "caploc")
    workflow.run("known_answer")
    return workflow


def test_every_rule_of_the_file_ran(finished_plants):
    ran = {path.name for path in (finished_plants.folder / "logs/test").iterdir()}
    assert ran >= RULES


def test_the_table_ranks_every_locator(finished_plants):
    results = finished_plants.folder / "results/test"
    table = pl.read_parquet(results / "tables/known_answer.parquet")
    assert table.columns == pl.read_csv(results / "tables/known_answer.csv").columns
    locators = set(yaml.safe_load((REPOSITORY / "config.yaml").read_text())["experiments"]
                   ["known_answer"]["locators"])  # fmt: skip
    assert len(locators) >= 13
    found = table.filter(pl.col("metric") == "average_precision", pl.col("seed").is_null())
    assert set(found["locator"]) == locators | {"cnl, per layer", "cnl, positive"}
    assert found["value"].is_between(0, 1).all()
    assert (results / "known_answer.html").read_text().startswith("<!doctype html>")


def test_the_surgery_check_covers_decoys_and_both_copies(finished_plants):
    folder = finished_plants.folder / "results/test/known-answer/miniature/0"
    check = json.loads((folder / "check.json").read_text())
    assert {"shared", "loud", "cancelling", "emotions, first copy", "emotions, second copy",
            "emotions, negative"} <= check["accuracy"].keys()  # fmt: skip
    assert check["usable"] == {"emotions": True}


def test_nothing_is_left_to_do_and_the_default_run_has_none_of_it(finished_plants):
    assert finished_plants.planned("known_answer") == {}
    assert not RULES & finished_plants.planned().keys()


def test_the_full_grid_makes_only_what_is_missing(finished_plants):
    planned = finished_plants.planned("known_answer_full")
    assert planned["plant_model"] == planned["rank_plant"] == 1


def test_other_shapes_are_ranked_without_the_null_checks(finished_plants):
    planned = finished_plants.planned("known_answer_tried")
    assert planned["plant_model"] == 3
    assert planned["rank_plant"] == 9
    assert "check_null" not in planned

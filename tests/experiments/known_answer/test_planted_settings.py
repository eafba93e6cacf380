"""Settings of planted models that cannot be used end in one line that says what is allowed."""

import copy
from pathlib import Path

import pytest
import yaml

from caploc.config import check
from caploc.records import DataError

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())


def checked(change):
    config = copy.deepcopy(CONFIG)
    config["experiments"]["known_answer"] |= change
    return check(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ["emotions", "sums"]}, 'known_answer.tasks: found "sums"; allowed: '),
        ({"tasks": ["emotions", "story-lookup"]}, "plug-in of story-lookup"),
        ({"model": "other"}, 'known_answer.model: found "other"'),
        ({"quick": {"plants": ["none"], "seeds": [0]}}, 'quick.plants: found "none"'),
        ({"locators": {"cnl": {"locator": "magic"}}}, 'locator: found "magic"'),
        ({"variants": {"none": ["positive"]}}, 'variants: found "none"'),
        ({"surgery": {"tolerance": 2}}, "tolerance: found 2"),
    ],
)
def test_wrong_settings(change, message):
    with pytest.raises(DataError, match=message):
        checked(change)


@pytest.mark.parametrize("key", ["capabilities", "twice"])
def test_a_plant_of_a_task_that_is_not_tested(key):
    plants = copy.deepcopy(CONFIG["experiments"]["known_answer"]["plants"])
    plants["twice"][key] = ["story-lookup"]
    with pytest.raises(DataError, match=rf"plants\.twice\.{key}: found \"story-lookup\""):
        checked({"plants": plants})


def test_a_model_that_is_not_trained_here():
    config = copy.deepcopy(CONFIG)
    config["models"]["hub"] = {"family": "llama", "repo": "a/b"}
    config["experiments"]["known_answer"]["model"] = "hub"
    with pytest.raises(DataError, match="'hub' is not trained here"):
        check(config)


def test_a_run_without_plants_asks_nothing_of_these_settings():
    empty = {"plants": {}, "model": "none", "quick": {"plants": [], "seeds": [0]}}
    checked(empty | {"full": empty["quick"], "tried": empty["quick"]})

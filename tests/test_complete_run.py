"""The tables of the complete run that are kept: whole, and shown as they are."""

import json
import sys
from itertools import product
from pathlib import Path

import polars as pl
import pytest
import yaml

from caploc.experiments.enhancement.table import CROSS_ENHANCEMENT, ENHANCEMENT
from caploc.experiments.erasure.table import ERASURE
from caploc.files.base_tables import BASE

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from full_page import page  # noqa: E402

KEPT = REPOSITORY / "benchmarks/results"
SCHEMAS = {
    "base": BASE,
    "erasure": ERASURE,
    "enhancement": ENHANCEMENT,
    "cross_enhancement": CROSS_ENHANCEMENT,
}
CONFIG = yaml.safe_load((REPOSITORY / "config/full.yaml").read_text())
SETTINGS = CONFIG["experiments"]["enhancement"]
MODELS = CONFIG["run"]["models"]


@pytest.fixture(scope="module")
def tables():
    return {
        name: pl.read_csv(KEPT / "full" / f"{name}.csv", schema=dict(schema))
        for name, schema in SCHEMAS.items()
    }


def test_the_page_shows_the_tables(tables):
    facts = json.loads((KEPT / "full.json").read_text())["models"]
    assert (KEPT / "full.md").read_text() == page(tables, facts)


def test_nothing_was_cut(tables):
    """Every model, data set, mask, arm, epoch and choice, with all draws and orders of the data."""
    rows = tables["enhancement"].filter(
        (pl.col("comparison") == "") & (pl.col("metric") == "accuracy")
    )
    found = {
        tuple(row[name] for name in ("model", "dataset", "mask", "arm", "epoch", "choice")): row
        for row in rows.iter_rows(named=True)
    }
    trained = [arm for arm in SETTINGS["arms"] if arm != "scaled"]
    cells = product(
        MODELS, SETTINGS["tasks"], SETTINGS["masks"], trained, SETTINGS["epochs"],
        ("shared", "best"),
    )  # fmt: skip
    for cell in cells:
        runs = SETTINGS["draws" if cell[3] in ("layer", "uniform") else "seeds"]
        assert found[cell]["value"] is not None, cell
        assert found[cell]["n_draws"] == runs == 5, cell
    sources = tables["cross_enhancement"].filter(pl.col("sets") == "own")
    assert set(sources["model"]) == set(MODELS)
    assert set(SETTINGS["tasks"]) < set(sources["source"])

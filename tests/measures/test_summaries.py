"""Groups of a frame to rows: every number again from plain lists."""

import math

import numpy as np
import polars as pl
import pytest

from caploc.measures import summaries
from caploc.measures.effects import excess, stratified
from caploc.measures.statistics import percentile_interval

DRAWS = pl.DataFrame(
    {
        "arm": "a",
        "draw": [1, 0, 1, 0],
        "sample_id": ["s", "s", "t", "t"],
        "fall": [4.0, 1.0, 6.0, None],
    }
)


def test_draws_are_paired_whatever_the_order_of_their_rows():
    groups, (found,) = summaries.grids(DRAWS, ["arm"], "fall")
    assert groups.rows() == [("a",)]
    assert found[1].tolist() == [4.0, 6.0] and found[0, 0] == 1.0
    assert math.isnan(found[0, 1])


def test_mean_and_range_over_draws():
    found = summaries.drawn(DRAWS.with_columns(pl.col("fall").fill_null(3.0)), ["arm"], "fall")
    assert found.rows() == [("a", 3.5, 2.0, 5.0, "range over 2 draws", 2, 2)]


def test_a_set_minus_its_random_ones():
    random = DRAWS.with_columns(pl.col("fall").fill_null(3.0), control=pl.lit("layer"))
    own = pl.DataFrame({"arm": "a", "sample_id": ["t", "s"], "fall": [7.0, 9.0]})
    row = summaries.beyond(own, random, ["arm"], ["control"], "fall", 5).row(0, named=True)
    expected = excess([9.0, 7.0], [[1.0, 3.0], [4.0, 6.0]], 5)
    assert row["value"] == expected.estimate.value == 8.0 - 3.5
    assert (row["ci_low"], row["p"], row["n_draws"]) == (expected.estimate.low, 1 / 3, 2)


def test_average_over_tasks_of_different_sizes():
    frame = pl.DataFrame({"arm": "a", "task": ["x", "x", "y"], "right": [1.0, 0.0, 1.0]})
    row = summaries.averaged(frame, ["arm"], "task", "right", 3, "tasks").row(0, named=True)
    expected = stratified([[1.0, 0.0], [1.0]], 3)
    assert (row["value"], row["ci_low"], row["n"]) == (0.75, expected.low, 3)
    assert row["interval"] == "bootstrap 95 %, mean of 2 tasks"


def test_only_the_primary_family_is_adjusted():
    frame = pl.DataFrame({"p": [0.01, 0.5, 0.04], "role": ["primary", "", "primary"]})
    found = {p: adjusted for p, _, adjusted in summaries.with_holm(frame).rows()}
    assert found == {0.01: pytest.approx(0.02), 0.04: pytest.approx(0.04), 0.5: None}


def test_percentile_interval_leaves_out_draws_without_a_number():
    draws = np.arange(101.0)
    assert percentile_interval([*draws, math.nan]) == pytest.approx((2.5, 97.5))
    assert percentile_interval(draws, level=0.5) == pytest.approx((25.0, 75.0))

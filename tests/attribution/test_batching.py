"""Batches hold every sample once and stay within the budget."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caploc.attribution.batching import plan_batches


@given(
    sizes=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 200)), max_size=40),
    n_points=st.integers(1, 20),
    n_layers=st.integers(1, 12),
    max_rows=st.integers(1, 3000),
)
def test_every_sample_once_within_the_budget(
    sizes: list[tuple[int, int]], n_points: int, n_layers: int, max_rows: int
) -> None:
    batches = plan_batches(sizes, n_points, n_layers, max_rows)
    assert sorted(itertools.chain(*(b.members for b in batches))) == list(range(len(sizes)))
    behind = max(1, n_layers - 1)
    for batch in batches:
        rows = len(batch.members) * batch.n_tokens * (batch.n_points * behind + 1)
        assert rows <= max(max_rows, behind + 1)
        width = max(sizes[i][0] for i in batch.members)
        assert batch.n_tokens == width or len(batch.members) == 1
        assert batch.n_points == n_points or batch.n_tokens == 1


def test_samples_of_like_length_travel_together() -> None:
    sizes = [(1, 9), (8, 20), (1, 9), (8, 20)]
    batches = plan_batches(sizes, n_points=2, n_layers=2, max_rows=48)
    assert [b.members for b in batches] == [[1, 3], [0, 2]]


def test_long_prompts_are_recorded_in_small_groups() -> None:
    batches = plan_batches([(1, 1000)] * 40, n_points=1, n_layers=2, max_rows=1000)
    assert max(len(b.members) for b in batches) == 4


def test_parts_are_even() -> None:
    (batch,) = plan_batches([(9, 30)], n_points=5, n_layers=3, max_rows=88)
    assert batch.n_tokens == 5  # 9 tokens in parts of at most 8: 5 and 4, not 8 and 1


def test_budget_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1, found 0"):
        plan_batches([(1, 1)], 1, 1, 0)

"""Random sets have the promised counts, avoid the located set, and match in size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caploc.measures.random_sets import (
    draw,
    draw_by_layer,
    draw_in_blocks,
    draw_like,
    size_difference,
)


def grid(seed, shape=(3, 40), n=9):
    rng = np.random.default_rng(seed)
    located = np.zeros(shape, bool)
    located.reshape(-1)[rng.choice(located.size, n, replace=False)] = True
    return located, rng.lognormal(size=shape)


@given(st.integers(0, 10_000), st.sampled_from(["uniform", "layer", "matched"]))
def test_counts(seed, control):
    located, sizes = grid(seed)
    found = draw(located, control, seed, sizes)
    assert found.sum() == located.sum()
    assert not (found & located).any()
    if control != "uniform":
        assert (found.sum(axis=1) == located.sum(axis=1)).all()
    assert (found == draw(located, control, seed, sizes)).all()


def test_uniform_draws_reach_every_other_neuron_equally_often():
    located, _ = grid(0)
    hits = sum(draw(located, "uniform", seed).astype(int) for seed in range(3000))
    expected = 3000 * 9 / (120 - 9)
    assert (hits[located] == 0).all()
    assert np.abs(hits[~located] - expected).max() < 5 * np.sqrt(expected)


def test_layer_draws_reach_every_other_neuron_of_the_layer():
    located, _ = grid(0)
    hits = sum(draw(located, "layer", seed).astype(int) for seed in range(500))
    touched = located.any(axis=1)
    assert (hits[touched][~located[touched]] > 0).all()
    assert (hits[~touched] == 0).all()


def test_matched_draws_are_among_the_nearest_and_vary():
    located, sizes = grid(3)
    draws = [draw(located, "matched", seed, sizes) for seed in range(50)]
    assert len({d.tobytes() for d in draws}) > 40
    for layer in range(3):
        free = np.flatnonzero(~located[layer])
        for d in draws:
            for j in np.flatnonzero(d[layer]):
                # Among the nearest of some located neuron, allowing for those taken before.
                assert any(
                    (np.abs(sizes[layer, free] - sizes[layer, i])
                     < abs(sizes[layer, j] - sizes[layer, i])).sum() < 8 + located[layer].sum()
                    for i in np.flatnonzero(located[layer])
                )  # fmt: skip
    matched = np.mean([size_difference(located, d, sizes) for d in draws])
    biggest = np.zeros_like(located)
    biggest[:, np.argsort(-sizes, axis=1)[:, :3]] = True
    layered = np.mean(
        [size_difference(located, draw(located, "layer", s), sizes) for s in range(50)]
    )
    assert abs(matched) < max(0.3, abs(layered))


def test_size_difference_is_standardised_by_layer():
    sizes = np.array([[0.0, 1, 2, 3, 4], [0, 100, 200, 300, 400]])
    located, control = np.zeros((2, 2, 5), bool)
    located[0, 4] = located[1, 4] = True
    control[0, 2] = control[1, 0] = True
    sd = np.std([0, 1, 2, 3, 4])
    assert size_difference(located, control, sizes) == pytest.approx((2 / sd + 4 / sd) / 2)
    assert size_difference(located, located & False, sizes) is None


def test_an_empty_set_has_empty_controls():
    nothing = np.zeros((2, 4), bool)
    for control in ("uniform", "layer", "matched"):
        assert not draw(nothing, control, 0, np.ones((2, 4))).any()


def test_bad_arguments():
    full = np.array([[True, True, False]])
    for control in ("uniform", "layer", "matched"):
        with pytest.raises(ValueError, match="1 neurons outside the located set, 2 needed"):
            draw(full, control, 0, np.ones((1, 3)))
    with pytest.raises(ValueError, match="control 'x'; expected uniform"):
        draw(full, "x", 0)
    with pytest.raises(ValueError, match="needs the sizes"):
        draw(full, "matched", 0)


def test_draws_in_blocks_have_the_counts_and_reach_every_unit_equally_often():
    sizes, counts, rng = [5, 7, 4], [2, 0, 3], np.random.default_rng(0)
    often = np.zeros(16)
    for _ in range(2000):
        drawn = draw_in_blocks(sizes, counts, rng)
        assert (np.diff(drawn) > 0).all() and len(drawn) == 5
        often[drawn] += 1
    assert np.abs(often[:5] / 2000 - 2 / 5).max() < 0.04
    assert not often[5:12].any()
    assert np.abs(often[12:] / 2000 - 3 / 4).max() < 0.04
    assert len(draw_in_blocks([], [], rng)) == 0
    with pytest.raises(ValueError, match="larger sample"):
        draw_in_blocks([2], [3], rng)


def test_a_set_like_another_has_its_counts_in_all_blocks():
    located = np.isin(np.arange(16), [0, 1, 6, 12, 13, 14, 15])
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert draw_like(located, [16], rng).sum() == 7
        drawn = draw_like(located, [5, 7, 4], rng)
        assert [drawn[:5].sum(), drawn[5:12].sum(), drawn[12:].sum()] == [2, 1, 4]


def test_by_layer_only_free_neurons_are_drawn():
    free, rng = np.random.default_rng(1).random((3, 40)) < 0.3, np.random.default_rng(0)
    drawn = draw_by_layer(free, [3, 0, 5], rng)
    assert drawn.sum(axis=1).tolist() == [3, 0, 5]
    assert not (drawn & ~free).any()
    with pytest.raises(ValueError, match="41 needed"):
        draw_by_layer(free, [41, 0, 0], rng)

"""Overlap, IoU and chance against hand-computed values, sets of pairs and random draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from caploc.measures.agreement import chance_overlap_layer, chance_overlap_uniform, iou, overlap

MEASURES = (overlap, iou, chance_overlap_uniform, chance_overlap_layer)
grids = arrays(np.bool_, (3, 5))


def grid(*places, shape=(2, 4)):
    mask = np.zeros(shape, dtype=bool)
    for layer, neuron in places:
        mask[layer, neuron] = True
    return mask


A = grid((0, 0), (0, 1), (1, 0), (1, 3))
B = grid((0, 1), (1, 0))


def test_hand_computed_values():
    # |a| = 4, |b| = 2, common = 2, grid of 8 neurons in layers of 4
    assert overlap(A, B) == (2 / 4 + 2 / 2) / 2 == 0.75
    assert iou(A, B) == 2 / 4
    assert chance_overlap_uniform(A, B) == (4 + 2) / 16
    # 2 and 1 neurons in either layer: (2 * 1 + 2 * 1) / 4 = 1 expected in common
    assert chance_overlap_layer(A, B) == (1 / 4 + 1 / 2) / 2


def test_empty_sets_have_no_overlap_value():
    nothing = grid()
    for measure in (overlap, chance_overlap_uniform, chance_overlap_layer):
        assert measure(nothing, A) is None
        assert measure(A, nothing) is None
        assert measure(nothing, nothing) is None
    assert iou(nothing, A) == 0
    assert iou(nothing, nothing) is None


@given(grids, grids)
def test_equal_to_slow_sets_symmetric_and_bounded(a, b):
    pairs_a = {(i, j) for i in range(3) for j in range(5) if a[i, j]}
    pairs_b = {(i, j) for i in range(3) for j in range(5) if b[i, j]}
    common, union = len(pairs_a & pairs_b), len(pairs_a | pairs_b)
    if pairs_a and pairs_b:
        expected = (common / len(pairs_a) + common / len(pairs_b)) / 2
        assert overlap(a, b) == pytest.approx(expected, abs=1e-15)
    if union:
        assert iou(a, b) == common / union
    for measure in MEASURES:
        assert measure(a, b) == measure(b, a)
        assert measure(a, b) is None or 0 <= measure(a, b) <= 1


@given(grids.filter(np.any))
def test_a_set_agrees_with_itself_and_not_with_its_complement(a):
    assert overlap(a, a) == iou(a, a) == 1
    assert overlap(a, ~a) in (0, None)
    assert iou(a, ~a) == 0


@given(grids.filter(np.any))
def test_sets_of_equal_size_obey_iou_o_over_2_minus_o(a):
    b = np.roll(a, 1, axis=1)
    o = overlap(a, b)
    assert iou(a, b) == pytest.approx(o / (2 - o))


def test_chance_values_are_the_means_over_random_sets():
    """Independent check: draw b again and again, uniformly and with its count in each layer."""
    generator = np.random.default_rng(0)
    a, b = generator.random((2, 3, 20)) < np.array([0.5, 0.1, 0.2])[:, None]
    uniform, layered = [], []
    for _ in range(4_000):
        uniform.append(overlap(a, generator.permutation(b.reshape(-1)).reshape(b.shape)))
        layered.append(overlap(a, generator.permuted(b, axis=1)))
    for draws, expected in (
        (uniform, chance_overlap_uniform(a, b)),
        (layered, chance_overlap_layer(a, b)),
    ):
        error = np.std(draws) / np.sqrt(len(draws))
        assert abs(np.mean(draws) - expected) < 5 * error
    assert abs(np.mean(uniform) - chance_overlap_layer(a, b)) > 0.05  # the two do differ here


@pytest.mark.parametrize("measure", MEASURES)
def test_grids_must_be_equal(measure):
    with pytest.raises(ValueError, match="two equal grids"):
        measure(A, grid(shape=(2, 5)))
    with pytest.raises(ValueError, match="two equal grids"):
        measure(np.array(True), np.array(True))


def test_any_unit_has_an_overlap_but_only_neurons_have_layers():
    layers, edges = A.any(axis=1), A.reshape(-1)
    assert overlap(layers, layers) == 1
    assert iou(edges, B.reshape(-1)) == iou(A, B)
    assert chance_overlap_uniform(edges, B.reshape(-1)) == chance_overlap_uniform(A, B)
    with pytest.raises(ValueError, match="expected \\(layer, neuron\\)"):
        chance_overlap_layer(layers, layers)

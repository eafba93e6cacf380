"""Contrast of tasks, neuron by neuron."""

import numpy as np
import pytest

from caploc.measures.contrast import against_others


def test_by_hand():
    own = [[3.0, -1.0, 2.0]]
    others = [[[1.0, 0.5, -4.0]], [[-2.0, 0.0, 1.0]]]
    assert against_others(own, others).tolist() == [[1.0, -1.5, -2.0]]


@pytest.mark.parametrize(
    ("others", "message"), [([], "no other task"), ([np.ones((2, 2))], r"shape \(2, 2\)")]
)
def test_bad_input(others, message):
    with pytest.raises(ValueError, match=message):
        against_others(np.ones((1, 2)), others)

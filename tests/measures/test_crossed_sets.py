"""Sets that are crossed, by hand."""

import numpy as np

from caploc.measures.crossed_sets import KINDS, common, crossed_sets


def located(*sets):
    grids = {}
    for name, found in zip("abcd", sets, strict=False):
        grid = np.zeros((2, 4))
        for place, z in found.items():
            grid[place] = z
        grids[name] = grid
    return grids


def places(mask):
    return {tuple(map(int, place)) for place in np.argwhere(mask)}


LARGE, A, B, C = (0, 0), (0, 1), (1, 2), (1, 3)
THREE = located(
    {LARGE: np.inf, A: 7, B: 9}, {LARGE: 6.5, C: 8}, {LARGE: 20, A: 6.1, B: 6.2, C: 6.3}, {}
)


def test_sets_by_hand():
    found = crossed_sets(THREE)
    assert tuple(found) == KINDS
    assert {k: places(m) for k, m in found["own"].items()} == {
        "a": {LARGE, A, B}, "b": {LARGE, C}, "c": {LARGE, A, B, C}, "d": set(),
    }  # fmt: skip
    # The empty one is not the smallest.
    assert {k: places(m) for k, m in found["equal"].items()} == {
        "a": {LARGE, B}, "b": {LARGE, C}, "c": {LARGE, C}, "d": set(),
    }  # fmt: skip
    assert places(common(THREE)) == {LARGE}
    assert {k: places(m) for k, m in found["own-distinct"].items()} == {
        "a": {A, B}, "b": {C}, "c": {A, B, C}, "d": set(),
    }  # fmt: skip
    assert {k: places(m) for k, m in found["equal-distinct"].items()} == {
        "a": {B}, "b": {C}, "c": {C}, "d": set(),
    }  # fmt: skip


def test_nothing_in_common():
    assert set(crossed_sets(located({A: 7}, {B: 7}))) == {"own", "equal"}
    # One set alone shares nothing with anybody.
    assert set(crossed_sets(located({A: 7}, {}))) == {"own", "equal"}
    assert not any(m.any() for m in crossed_sets(located({}, {}))["equal"].values())

from dataclasses import replace

import numpy as np
import pytest

from caploc.experiments.known_answer._layout import Role, lay_out, like, read_layout, write_layout
from caploc.experiments.known_answer.settings import Plant
from caploc.records import DataError

PLANT = Plant(("sums", "words"), share=0.05, decoys=0.0)


def test_sets_are_disjoint_and_as_large_as_asked():
    layout = lay_out(3, 100, PLANT, 0)
    for name in ("sums", "words"):
        assert layout.carrying(name).sum(axis=1).tolist() == [5, 5, 5]
    assert not (layout.carrying("sums") & layout.carrying("words")).any()
    assert layout.of("rest").sum() == 3 * 90
    assert layout.capabilities == ["sums", "words"]


def test_one_layer_a_copy_and_decoys():
    plant = replace(PLANT, layers=[1], twice=["words"], decoys=0.03)
    layout = lay_out(3, 100, plant, 0)
    assert not layout.owner[[0, 2]].any()
    sizes = {role: int((layout.owner == i).sum()) for i, role in enumerate(layout.roles)}
    assert sizes == {
        Role("rest"): 265, Role("planted", "sums"): 5, Role("planted", "words"): 5,
        Role("copy", "words"): 5, Role("shared"): 3, Role("loud"): 3, Role("cancelling"): 2,
        Role("negative", "sums"): 3, Role("negative", "words"): 3,
    } | {Role("rest"): 300 - 29}  # fmt: skip
    assert layout.carrying("words").sum() == 10
    assert layout.of("negative", capability="sums").sum() == 3


def test_the_seed_decides():
    one, same, other = (lay_out(2, 50, PLANT, seed).owner for seed in (0, 0, 1))
    assert (one == same).all() and (one != other).any()


def test_a_small_share_still_plants_one_neuron():
    assert lay_out(1, 100, replace(PLANT, share=0.001), 0).carrying("sums").sum() == 1


def test_file(tmp_path):
    layout = lay_out(3, 100, replace(PLANT, twice=["sums"], decoys=0.02), 0)
    write_layout(tmp_path / "sets.parquet", layout, {})
    found = read_layout(tmp_path / "sets.parquet")
    assert found.roles == layout.roles
    assert (found.owner == layout.owner).all()


def test_random_sets_come_from_neurons_without_a_role():
    layout = lay_out(3, 100, replace(PLANT, layers=[0, 2]), 0)
    found = like(layout, layout.carrying("sums"), np.random.default_rng(0))
    assert found.sum(axis=1).tolist() == [5, 0, 5]
    assert not (found & (layout.owner > 0)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 0.6}, r"120 neurons in a layer of 100 \(60 planted sums, 60 planted words\)"),
        ({"layers": [3]}, "layer 3 is not there, expected 0 to 2"),
        ({"twice": ["other"]}, "`twice` names 'other', which is not planted"),
    ],
)
def test_what_cannot_be_planted(change, message):
    with pytest.raises(DataError, match=message):
        lay_out(3, 100, replace(PLANT, **change), 0)


def test_too_few_neurons_for_a_random_set():
    layout = lay_out(1, 100, replace(PLANT, share=0.4), 0)
    with pytest.raises(DataError, match="20 neurons without a role, a random set needs 40"):
        like(layout, layout.carrying("sums"), np.random.default_rng(0))

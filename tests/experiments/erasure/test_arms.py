"""Arms and their controls, by count and by name."""

from types import SimpleNamespace

import numpy as np

from caploc.experiments.erasure._arms import Arm, erasure_arms, strongest, with_controls

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(2, 50))
SCORES[0, 3], SCORES[1, 8], SCORES[1, 9] = 30, -20, 25
SIZES = RNG.lognormal(size=(2, 50))
SETTINGS = {"draws": 7, "exploratory_draws": 2, "dose": [0.02, 0.1], "dose_draws": 3,
            "modes": ["all", "answer"]}  # fmt: skip


def arms(**masks):
    others = {"activation-size": SIZES, "task-neurons": RNG.random((2, 50))}
    found, missing = erasure_arms(
        masks, "s6", SCORES, others, SIZES, SimpleNamespace(**SETTINGS), "run"
    )
    assert not missing
    return found


def count(found, **labels):
    return sum(all(getattr(a, k) == v for k, v in labels.items()) for a in found)


def test_every_comparison_is_there():
    s6 = strongest(SCORES, 3)
    assert s6[0, 3] and s6[1, 8] and s6[1, 9]
    found = arms(s3=strongest(SCORES, 6), s6=s6)
    assert count(found, arm="base") == 1
    assert count(found, mask="s6", arm="located", mode="all", control="matched") == 7
    assert count(found, mask="s3", arm="located", mode="all", control="matched") == 2
    assert (
        count(found, mask="s3", control="uniform") == count(found, mask="s3", control="layer") == 2
    )
    assert count(found, mode="answer", control="matched") == 2
    assert count(found, share=0.1, control="layer") == 3
    by_arm = {a.arm: a for a in found if a.mask == "s6" and not a.control and a.mode == "all"}
    assert by_arm["positive"].neurons.sum() == 2
    assert by_arm["negative"].neurons.sum() == 1
    assert (by_arm["activation-size"].neurons.sum(), by_arm["task-neurons"].neurons.sum()) == (3, 3)
    assert SIZES[by_arm["activation-size"].neurons].min() >= np.sort(SIZES.reshape(-1))[-3]
    ends = [a for a in found if a.share is not None and not a.control]
    assert sorted(int(a.neurons.sum()) for a in ends) == [2, 2, 10, 10]


def test_modes_share_their_random_sets():
    found = arms(s6=strongest(SCORES, 3))
    sets = {
        mode: [
            a.neurons for a in found if (a.mode, a.arm, a.control) == (mode, "located", "matched")
        ]
        for mode in ("all", "answer")
    }
    for a, b in zip(sets["all"], sets["answer"], strict=False):
        assert (a == b).all()
    assert len({a.tobytes() for a in sets["all"]}) > 1


def test_an_empty_set_has_no_controls():
    empty = Arm("s12", "located", "all", np.zeros((2, 50), bool))
    assert list(with_controls(empty, SIZES, {"matched": 5}, "run")) == [empty]


def test_equal_seeds_give_equal_sets():
    one, two = (
        [a.neurons.tobytes() for a in arms(s6=strongest(SCORES, 3)) if a.arm == "located"]
        for _ in range(2)
    )
    assert one == two


def test_a_set_too_large_for_a_control_is_compared_without_it():
    large = np.zeros((2, 50), bool)
    large[0, :30] = True
    found, missing = erasure_arms(
        {"s3": large},
        "s6",
        SCORES,
        {},
        SIZES,
        SimpleNamespace(**SETTINGS | {"dose": [0.02, 0.8]}),
        "run",
    )
    located = [a for a in found if a.mask == "s3"]
    assert [a.control for a in located] == ["", "uniform", "uniform"]
    assert [(a.mask, a.share, a.control) for a, _ in missing] == [
        ("s3", None, "matched"), ("s3", None, "layer"), ("", 0.8, "layer"),
    ]  # fmt: skip
    assert "20 neurons outside the located set, 30 needed" in {reason for _, reason in missing}

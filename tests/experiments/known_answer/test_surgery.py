import pytest

from caploc.experiments.known_answer._surgery import chance, judge_capability
from caploc.experiments.known_answer.settings import Surgery

LIMITS = Surgery(accuracy=0.6, tolerance=0.02)
BASE = {"sums": 0.9, "words": 0.8}
GOOD = {"sums": 0.05, "words": 0.79}
NOTHING = {"sums": 0.04, "words": 0.1}


def judged(base=BASE, without=GOOD, without_ffn=NOTHING, drawn=(BASE,)):
    return judge_capability("sums", 200, 0.06, base, without, without_ffn, drawn, LIMITS)


def test_a_good_plant_has_no_reason_against_it():
    assert judged() == []
    assert judged(without=GOOD | {"words": 0.78}) == []
    # 18 of 200: the interval begins at .058.
    assert judged(without=GOOD | {"sums": 0.09}) == []
    assert judged(without=GOOD | {"sums": 0.1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base": BASE | {"sums": 0.5}, "drawn": []}, "right in 0.500 .* needs 0.600"),
        ({"without": GOOD | {"sums": 0.3}}, "without its neurons sums is still .* 0.300, chance"),
        ({"without_ffn": NOTHING | {"sums": 0.5}}, "without all FFN neurons sums is still"),
        ({"without": GOOD | {"words": 0.77}}, r"without the neurons of sums words .* by -0.030"),
        ({"without": GOOD | {"words": 0.83}}, r"words changes by \+0.030, at most 0.020"),
        ({"drawn": [BASE, BASE | {"sums": 0.85}]}, r"random set .* sums changes by -0.050"),
    ],
)  # fmt: skip
def test_each_condition_has_its_sentence(change, message):
    reasons = judged(**change)
    assert len(reasons) == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(reasons[0])


def test_chance_is_the_best_constant_guess():
    assert chance(["a", "b", "b", "c"]) == 0.5
    with pytest.raises(ValueError, match="at least one"):
        chance([])

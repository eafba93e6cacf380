import example_run
import pytest

from caploc.experiments.agreement._pairs import pair_verdict
from caploc.report.findings import stands
from caploc.report.formatting import Number
from caploc.report.inputs import read_inputs
from caploc.report.views import views


@pytest.mark.parametrize(
    ("number", "reference", "order"),
    [
        (Number(0.9, 0.85, 0.95), Number(0.8, 0.75, 0.84), "above"),
        (Number(0.9, 0.85, 0.95), Number(0.8, 0.75, 0.85), "within"),
        (Number(0.7, 0.6, 0.74), Number(0.8, 0.75, 0.85), "below"),
        (Number(0.5), Number(0.5), "within"),
        (Number(), Number(0.5), None),
        (Number(0.5), Number(), None),
    ],
)
def test_ranges_decide(number, reference, order):
    assert stands(number, reference) == order


def _verdict(tmp_path, words, capability, chance=0.01):
    """The verdict for these two overlaps; the ranges of the fixture are 0.062 wide."""
    rows = example_run.agreement()
    for row in rows:
        if row["comparison"] == "datasets" and row["dataset"] == "alpha":
            if row["metric"] == "overlap":
                row["value"] = {"beta": words, "gamma": capability}[row["reference"]]
            elif row["metric"] == "chance_overlap_layer":
                row["value"] = chance
    job = example_run.write_run(tmp_path, replaced={"agreement": rows})
    return pair_verdict(views(read_inputs(job))[0])


@pytest.mark.parametrize(
    ("words", "capability", "favours"),
    [
        (0.60, 0.20, "words"),
        (0.20, 0.60, "capability"),
        (0.40, 0.36, "undecided"),
        (0.36, 0.40, "undecided"),
        (None, 0.40, None),
    ],
)
def test_the_pairs_favour_what_overlaps_more(tmp_path, words, capability, favours):
    verdict = _verdict(tmp_path, words, capability)
    assert verdict.favours == favours
    assert verdict.margin == pytest.approx(0.062)


def test_an_overlap_that_chance_explains_decides_nothing(tmp_path):
    verdict = _verdict(tmp_path, 0.30, 0.10, chance=0.31)
    assert verdict.favours == "undecided"
    assert "chance" in verdict.reason

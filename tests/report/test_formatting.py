import pytest

from caploc.report.formatting import (
    Number,
    count,
    joined,
    nat,
    percent,
    percent_span,
    point_span,
    points,
    probability,
    share,
    share_span,
    texts,
    unbroken,
)


def test_fractions_become_percent():
    assert percent(0.9642) == "96.4"
    assert percent(0.2, 0) == "20"
    assert percent_span(0.881, 0.93) == "88.1–93.0"
    assert percent_span(0.8811, 0.8813) == "88.1"
    assert percent_span(-0.133, -0.023) == "-13.3 to -2.3"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "0.00"), (0.0123, "1.23"), (0.0014, "0.14"), (0.001, "0.10"), (0.00099, "0.099"),
     (0.000034, "0.0034"), (3.4e-7, "0.000034"), (1.0, "100.00")],
)  # fmt: skip
def test_small_shares_keep_two_leading_digits(fraction, text):
    assert share(fraction) == text


def test_a_span_of_shares_is_one_number_where_both_look_equal():
    assert share_span(0.0011, 0.0019) == "0.11–0.19"
    assert share_span(0.00111, 0.00112) == "0.11"


def test_differences():
    assert [nat(x) for x in (-0.105, -0.0004, 0.0004, 2)] == ["-0.105", "0.000", "0.000", "2.000"]
    assert nat(-0.00004, 4) == "0.0000"
    assert [nat(x, signed=True) for x in (0.05, -0.05, -0.0004)] == ["+0.050", "-0.050", "0.000"]
    assert [points(x) for x in (-0.225, 0.1, 0, -0.0004)] == ["-22.5", "+10.0", "0.0", "0.0"]


def test_words():
    assert count(1, "data set") == "1 data set"
    assert count(1024, "neuron") == "1,024 neurons"
    assert count(2, "entry", "entries") == "2 entries"
    assert [joined(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert joined(["1", "2"], "or") == "1 or 2"
    assert unbroken("5 % of 6 %") == "5\N{NO-BREAK SPACE}% of 6\N{NO-BREAK SPACE}%"
    assert [probability(p) for p in (0, 0.5, 0.012345)] == ["0", "0.5", "0.012"]


def test_a_number_without_a_range_is_its_own_range():
    assert (Number(0.5).bottom, Number(0.5).top) == (0.5, 0.5)
    assert (Number(0.5, 0.4, 0.7).bottom, Number(0.5, 0.4, 0.7).top) == (0.4, 0.7)
    assert Number(0.0).has_value
    assert not Number().has_value


def test_missing_splits_are_counted():
    assert Number(0.5, n=3, interval="range over 5 splits").partial == "3 of 5 splits"
    assert Number(0.5, n=5, interval="range over 5 splits").partial == ""
    assert Number(0.5, n=200, interval="Wilson 95 %").partial == ""


@pytest.mark.parametrize(
    ("number", "side"),
    [
        (Number(0.2, 0.1, 0.3), "above"), (Number(-0.2, -0.3, -0.1), "below"),
        (Number(0.2, -0.1, 0.3), "within"), (Number(0.2, 0.0, 0.3), "within"),
        (Number(0.2), "above"), (Number(0.0), "within"), (Number(), None),
    ],
)  # fmt: skip
def test_the_whole_range_decides_the_side(number, side):
    assert number.side == side


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("percent", ("20.0", "-10.0 to 30.0")), ("fine", ("20.00", "-10.0 to 30.0")),
        ("share", ("20.00", "")), ("points", ("+20.0", "-10.0 to +30.0")),
        ("difference", ("20.0", "-10.0 to 30.0")), ("nat", ("0.200", "-0.100 to 0.300")),
        ("nat4", ("0.2000", "-0.1000 to 0.3000")), ("plain", ("0.20", "-0.10 to 0.30")),
    ],
)  # fmt: skip
def test_a_cell_shows_a_number_with_its_range(form, found):
    assert texts(Number(0.2, -0.1, 0.3), form) == found
    assert texts(Number(0.2), form) == (found[0], "")


def test_a_difference_and_its_range_in_points():
    assert point_span(Number(0.2, -0.1, 0.3)) == "+20.0 (-10.0 to +30.0)"
    assert point_span(Number(0.2)) == "+20.0"

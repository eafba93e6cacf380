from fractions import Fraction

import pytest

from caploc.samples.scoring import (
    marked_number,
    number,
    same_code,
    same_first_word,
    same_marked_number,
    same_text,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", 72), ("$1,000.", 1000), ("-3", -3), ("3.5", Fraction(7, 2)), ("3/4", Fraction(3, 4)),
        (".5 kg", Fraction(1, 2)), ("12 or 13", 13), ("100%", 100), ("", None), ("none", None),
        ("1/0", None), ("$-5", -5), ("-$5", -5),
    ],
)  # fmt: skip
def test_the_last_number(text, value):
    assert number(text) == value


def test_marked_number_is_on_the_first_marked_line():
    assert marked_number("a 5\n#### 1,234\nQuestion: 7") == 1234
    assert marked_number("#### 6 * 2 = 12") == 12
    assert marked_number("#### 5\n#### 6") == 5
    assert marked_number("####\n7") is None
    assert marked_number("7") is None


def test_marked_numbers_compare_as_numbers():
    assert same_marked_number("#### 5", "#### $5.00")
    assert same_marked_number("#### 1000", "#### 1,000")
    assert not same_marked_number("#### 5", "5")
    assert not same_marked_number("no number", "no number")


def test_text_compares_without_case_spacing_and_full_stop():
    assert same_text(" New  York", "new york.")
    assert not same_text("a\nb", "a b")
    assert not same_text("", "")
    assert not same_text(".", ".")


def test_first_words():
    assert same_first_word(" positive", "\n Positive, because")
    assert same_first_word(" well-made", "well-made")
    assert not same_first_word(" positive", "not positive")
    assert not same_first_word("", "")


def test_code():
    assert same_code("x = 1", "x=1 # one")
    assert not same_code("x = 1", "x = 2")
    assert not same_code("# only a comment", "")
    # not Python: line by line
    assert same_code("SELECT a\nFROM b", "SELECT a  \nFROM b\n")
    assert not same_code("SELECT a\nFROM b", "SELECT a FROM b")
    assert not same_code("", "")
    assert not same_code("x = 1", "x = (")

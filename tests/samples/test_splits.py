import hashlib

import pytest

from caploc.samples.splits import SPLITS, cut, distinct_in_order, normalise, prompt_digest


def test_prompts_that_look_alike_are_the_same():
    assert normalise("  How\tmany\n Äpfel? ") == "how many äpfel?"
    assert prompt_digest("Ａpples  ARE") == prompt_digest("apples are")  # full-width letter
    assert prompt_digest("Straße") == prompt_digest("STRASSE")
    assert prompt_digest("a b") != prompt_digest("ab")


def test_digest_is_the_beginning_of_a_sha256():
    assert prompt_digest(" A  b") == hashlib.sha256(b"a b").hexdigest()[:16]


def test_order_is_seeded_and_keeps_first_occurrences():
    digests = ["b", "a", "b", "c", "a"]
    order = distinct_in_order(digests, "1")
    assert sorted(order) == [0, 1, 3]
    assert order == distinct_in_order(digests, "1")
    assert any(distinct_in_order(digests, str(seed)) != order for seed in range(10))


def test_more_rows_keep_the_order_of_the_old_ones():
    old = [f"d{i}" for i in range(20)]
    new = [f"e{i}" for i in range(30)] + old
    kept = [new[i] for i in distinct_in_order(new, "s") if new[i] in old]
    assert kept == [old[i] for i in distinct_in_order(old, "s")]


def test_cut_into_disjoint_ranges():
    ranges = cut(100, dict(zip(SPLITS, (40, 30, 10, 20), strict=True)))
    assert [len(r) for r in ranges.values()] == [40, 30, 10, 20]
    assert sorted(i for r in ranges.values() for i in r) == list(range(100))


def test_more_than_wanted_is_left_over():
    assert [len(r) for r in cut(50, {"locate": 4, "test": 5}).values()] == [4, 5]


@pytest.mark.parametrize("n", [0, 40, 67, 99])
def test_a_shortage_is_shared_in_proportion(n):
    ranges = cut(n, {"locate": 50, "train": 30, "test": 20})
    assert sum(len(r) for r in ranges.values()) == n
    assert abs(len(ranges["train"]) - 0.3 * n) <= 1
    assert abs(len(ranges["locate"]) - 0.5 * n) <= 2


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(1, (1, 0, 0)), (3, (3, 0, 0)), (20, (20, 0, 0)), (30, (20, 6, 4)), (37, (20, 11, 6)),
     (41, (21, 12, 8))],
)  # fmt: skip
def test_few_samples_are_to_locate_with(n, sizes):
    ranges = cut(n, {"locate": 50, "train": 30, "test": 20})
    assert tuple(len(r) for r in ranges.values()) == sizes
    assert sorted(i for r in ranges.values() for i in r) == list(range(n))


def test_no_split_gets_more_than_it_wants_of_few():
    assert [len(r) for r in cut(9, {"locate": 4, "train": 5, "test": 5}).values()] == [4, 3, 2]
    assert [len(r) for r in cut(3, {"test": 50}).values()] == [3]

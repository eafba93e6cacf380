"""The section on paired samples: numbers where they belong, and a sentence that follows them."""

import pytest

IDS = {"model": "tiny", "dataset": "calculations"}
KN = {"rule": "0.2 x max", "norm": "size"}


def rows(task=(0.2, 0.15, 0.25), main=(0.05, 0.02, 0.08), known=150):
    def ends(value, low, high):
        return {"value": value, "ci_low": low, "ci_high": high, "n": known}

    found = [
        IDS | {"metric": "accuracy", "comparison": "part 1, form 0"} | ends(0.94, 0.9, 0.97),
        IDS | {"metric": "multi_token_answers", "value": 3.0, "n": 800},
        IDS | {"metric": "dropped", "comparison": "prompt", "interval": "too <long>", "value": 2.0},
        *(IDS | {"pairs": g, "metric": "pairs", "value": n, "n": 200.0}
          for g, n in (("known", known), ("all", 200.0))),
    ]  # fmt: skip
    named = IDS | {"pairs": "known"} | KN
    cells = {
        "same main part, same task": 0.61, "same main part, other task": 0.42,
        "other main part, same task": 0.56, "other main part, other task": 0.37,
    }  # fmt: skip
    for name, value in cells.items():
        row = named | {"metric": "coincidence", "comparison": name}
        found.append(row | ends(value, value - 0.01, value + 0.01))
        found.append(row | {"control": "expected by layer", "value": 0.031})
    for name, value in (("task", task), ("main part", main), ("interaction", (0.0, -0.01, 0.01))):
        row = named | {"metric": "effect", "comparison": name}
        found.append(row | ends(*value))
        found.append(row | {"control": "expected by layer", "value": 0.001})
    for rate, value in (("C12", 0.421), ("C11", 0.08), ("C22", 0.09)):
        for rule, norm in (("0.2 x max", "size"), ("0.2 x max", "LJ"), ("top 5 %", "LJ")):
            row = named | {"metric": "coincidence", "comparison": rate, "rule": rule, "norm": norm}
            found.append(row | ends(value, value - 0.01, value + 0.01))
            found.append(row | {"control": "expected by layer", "value": 0.0012})
    found += [
        named | {"metric": "curve", "comparison": c, "n_sets": m, "value": 1 / m}
        for c in ("C11", "C22") for m in (1, 2, 5)
    ]  # fmt: skip
    return found


def test_numbers_stand_where_they_belong(changed):
    _, page, html = changed({"decoupling": rows()})
    table = page.table("Matched comparison")
    assert table.row("same main part")[1:] == ["61.0 60.0–62.0", "42.0 41.0–43.0", "3.1", "3.1"]
    assert table.row("effect of the task, points")[1] == "20.0 15.0 to 25.0"
    rates = page.table("Coincidence rates as in the paper")
    assert [row[:2] for row in rates.rows[-3:]] == [
        ["0.2 x max", "mean size"], ["0.2 x max", "all neurons"],
        ["top 5\N{NO-BREAK SPACE}%", "all neurons"],
    ]  # fmt: skip
    assert rates.rows[-3][2] == "42.10 41.1–43.1" and rates.rows[-3][-1] == "0.12"
    assert page.table("What m prompts").row("task 1 (C11)")[1:] == ["100.0", "50.0", "20.0"]
    for words in (
        "answers all four prompts of 150 of 200 pairs",
        "3 of 800 prompts have an answer of several",
        "2 prompts left out: too &lt;long&gt;", "15.6", "7.3", "8.6",
        "follow the task more than the text", "20.0 points (15.0 to 25.0) more",
    ):  # fmt: skip
        assert words in html, words


@pytest.mark.parametrize(
    ("task", "main", "words"),
    [
        ((0.02, 0.01, 0.03), (0.2, 0.1, 0.3), "follow the text more than the task"),
        ((0.02, -0.01, 0.03), (0.02, 0.01, 0.03), "the two are not told apart in size"),
        ((-0.2, -0.3, -0.1), (0.1, 0.05, 0.2), "same task share 20.0 points (-30.0 to -10.0) less"),
        ((0.02, -0.01, 0.03), (0.0, -0.1, 0.1), "makes no clear difference"),
    ],
)
def test_the_sentence_follows_the_effects(task, main, words, changed):
    assert words in changed({"decoupling": rows(task, main)})[1].texts()


def test_pairs_that_the_model_cannot_answer(changed):
    table = [row | {"pairs": "all"} if row.get("pairs") and row["metric"] != "pairs" else row
             for row in rows(known=3)]  # fmt: skip
    _, page, _ = changed({"decoupling": table})
    words = "all four prompts of 3 of 200 pairs; too few, so the numbers below are about all pairs"
    assert words in page.texts()
    assert page.table("Matched comparison").row("effect of the task, points")[1].startswith("20.0")


def test_no_section_without_the_experiment(html):
    assert 'id="decoupling"' not in html and "One text, two tasks" not in html

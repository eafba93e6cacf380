"""The matrices of crossed data sets: every number in its field, frames, bold, contrasts."""

from typing import Any

IDS = {"model": "tiny", "method": "cnl", "mask": "s6", "sigma": 6.0}
OTHER = ("beta", "gamma")


def example(sets: tuple[str, ...] = ("own", "equal")) -> list[dict[str, Any]]:
    """alpha hurts itself by 0.4 and beta by 0.1, gamma (empty) nobody; beta is below chance."""
    found: list[dict[str, Any]] = [IDS | {"metric": "n_common", "value": 2.0, "n": 1}]
    for kind in sets:
        own = IDS | {"sets": kind}
        for source, n in (("alpha", 14.0), ("beta", 9.0), ("gamma", 0.0)):
            found.append(own | {"source": source, "metric": "n_neurons", "value": n, "n": 1})
        for target, value, low in (("alpha", 0.4, 0.3), ("beta", 0.1, -0.05), ("gamma", -0.02, -1)):
            cell = own | {"source": "alpha", "target": target, "metric": "logprob_excess"}
            found.append(cell | {"value": value, "ci_low": low, "ci_high": 0.9, "n": 24, "p": 0.05})
        cell = own | {"source": "alpha", "target": "alpha", "metric": "relative_excess"}
        found.append(cell | {"value": 0.625, "ci_low": 0.5, "ci_high": 0.75, "n": 24})
        contrast = own | {"metric": "logprob_contrast", "value": 0.0123, "n": 72}
        found.append(contrast | {"ci_low": -0.002, "ci_high": 0.03, "p": 0.15, "n_draws": 19})
        dealt = own | {"metric": "logprob_contrast_labels", "value": 0.0123}
        found.append(dealt | {"p": 0.333, "n_draws": 3, "n": 3})
    return found


OVERLAP = [
    IDS | {"sets": "own", "source": "alpha", "target": "beta", "metric": "overlap", "value": 0.352},
    IDS | {"sets": "own", "metric": "overlap_contrast", "value": 0.25, "p": 0.005, "n_draws": 199},
]


def test_every_number_stands_in_its_field(changed):
    _, page, html = changed({"cross_erasure": example(), "cross_overlap": OVERLAP})
    matrix = page.table(
        "Fall of the gold answer’s log-probability beyond random sets, nat per answer token; all"
    )
    columns = matrix.rows[0]
    found = dict(zip(columns, matrix.row("Word problems"), strict=True))
    assert (found["Word problems"], found["Story look-up"]) == ("0.400", "0.100")
    assert found["Number words"] == "-0.020"
    assert matrix.row("Number words")[1:4] == ["empty mask"] * 3
    assert html.count('style="--v:1.000"><strong>0.400</strong>') == 2  # own and equal
    assert html.count('style="--v:0.250">0.100<') == 2  # not apart from 0: not bold
    assert html.count('style="--v:0.000">-0.020<') == 2
    lost = page.table(
        "Right answers lost beyond random sets, percent of what the unchanged model has above the "
        "commonest answer; all"
    )
    assert lost.row("Word problems")[1] == "62.5"


def test_a_pair_stands_on_both_sides_of_the_diagonal(changed):
    _, page, _ = changed({"cross_erasure": example(("own",)), "cross_overlap": OVERLAP})
    matrix = page.table("Overlap of the sets, percent; all located")
    names = matrix.rows[0]
    a, b = names.index("Word problems"), names.index("Story look-up")
    assert matrix.row("Word problems")[b] == matrix.row("Story look-up")[a] == "35.2"
    assert matrix.row("Word problems")[a] == "–"


def test_contrasts_with_their_floors(changed):
    _, page, _ = changed({"cross_erasure": example(("own",)), "cross_overlap": OVERLAP})
    first, second = page.table("Same capability against other capability").rows[1:]
    assert first == [
        "fall of the log-probability, nat per token", "all located neurons of each",
        "0.0123 -0.0020 to 0.0300", "0.150", "19", "0.333", "3",
    ]  # fmt: skip
    assert second[2:] == ["25.0", "0.005", "199", "–", "–"]
    assert "2 neurons are common to all data sets" in page.texts()


def test_no_section_without_the_experiment(html):
    assert "Neurons of one data set, questions of another" not in html

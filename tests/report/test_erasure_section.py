"""The section on silenced neurons: numbers where they belong, empty sets named, no false winner."""

from typing import Any

IDS = {"model": "tiny", "method": "cnl", "arm": "located", "mode": "all", "shots": 0}


def rows(dataset: str, located: float, low: float, high: float, size: float = 0.1) -> list[Any]:
    """One data set at sigma 6: falls of 0.4 against 0.1, accuracies as given against 0.5 to 0.7."""
    own = IDS | {"dataset": dataset, "mask": "s6"}
    other = own | {"control": "matched", "n_draws": 199}
    base = IDS | {"dataset": dataset, "arm": "base"}
    return [
        base | {"metric": "accuracy", "value": 0.8, "ci_low": 0.75, "ci_high": 0.85, "n": 40},
        base | {"metric": "logprob", "value": -0.25, "ci_low": -0.3, "ci_high": -0.2, "n": 32},
        own | {"metric": "n_neurons", "value": 14.0, "n": 1, "shots": None},
        own | {"metric": "accuracy", "value": located, "ci_low": low, "ci_high": high, "n": 40},
        own | {"metric": "logprob_fall", "value": 0.4, "ci_low": 0.31, "ci_high": 0.49, "n": 32},
        other | {"metric": "accuracy", "value": 0.6, "ci_low": 0.5, "ci_high": 0.7, "n": 40},
        own | {"metric": "accuracy_change", "value": located - 0.8, "ci_low": -0.6,
               "ci_high": low - 0.3, "n": 40},
        other | {"metric": "accuracy_excess", "value": located - 0.6, "ci_low": low - 0.6,
                 "ci_high": high - 0.5, "n": 40},
        other | {"metric": "logprob_fall", "value": 0.1, "ci_low": -0.02, "ci_high": 0.2, "n": 32},
        other | {"metric": "logprob_excess", "value": 0.3, "ci_low": 0.22, "ci_high": 0.38,
                 "n": 32, "p": 0.005, "p_holm": 0.015, "role": "secondary"},
        other | {"metric": "size_difference", "value": size, "n": 14, "shots": None},
        other | {"metric": "n_distinct", "value": 180.0, "n": 199, "shots": None},
        own | {"mask": "s12", "metric": "n_neurons", "value": 0.0, "n": 1, "shots": None},
        *(IDS | {"dataset": dataset, "share": s, "metric": "logprob_fall", "value": 3 * s,
                 "ci_low": s, "ci_high": 5 * s, "n": 32} for s in (0.01, 0.1)),
    ]  # fmt: skip


def test_numbers_stand_where_they_belong(changed):
    table = rows("alpha", 0.3, 0.2, 0.4) + rows("beta", 0.45, 0.3, 0.6, size=1.3)
    _, page, html = changed({"erasure": table})
    accuracy = page.table("Right answers after silencing")
    found = accuracy.row("Word problems")
    assert found[1] == "80.0 75.0–85.0"
    assert found[4:6] == ["60.0 50.0–70.0", "30.0 20.0–40.0"]
    assert found[-1].replace("\xa0", " ") == "no neuron (n = 0)"
    change = page.table("Change from the unchanged model")
    # alpha: located 30 % of 80 %; 30 minus 60 %, its interval below 0
    assert change.row("Word problems")[4:7] == [
        "not computed", "-50.0 -60.0 to -10.0", "-30.0 -40.0 to -10.0"
    ]  # fmt: skip
    primary = page.table("Located against matched random sets")
    assert primary.row("Word problems")[1:] == [
        "14", "-0.250 -0.300 to -0.200", "0.400 0.310 to 0.490", "0.100 -0.020 to 0.200",
        "0.300 0.220 to 0.380", "0.005", "0.015", "199 180 different", "0.10",
    ]  # fmt: skip
    assert primary.row("Story look-up")[-1] == "1.30 no match"
    assert primary.row("Number words")[1] == "–"
    assert "Fall of the log-probability against the share" in page.texts()
    # Only alpha lies below the draws, and only its difference below 0.
    assert html.count('<strong class="value">') == 2
    assert '<strong class="value">-30.0</strong>' in html


def test_the_paper_is_labelled_as_other_models(changed):
    _, page, _ = changed({"erasure": rows("alpha", 0.3, 0.2, 0.4)})
    table = page.table("Paper (other models, other data): Table 3")
    assert ["Llama2-13B", "sigma 6, located", "0.00", "5.38", "18.06", "7.81"] in table.rows
    assert len(table.rows) == 15


def test_no_section_without_the_experiment(page, html):
    assert "What silencing them does" not in html
    assert not [t for t in page.tables if "silencing" in t.caption]

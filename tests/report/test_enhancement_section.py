"""The section on trained neurons: numbers in their places, winners only where they stand apart."""

from typing import Any

import pytest

IDS = {"model": "tiny", "method": "cnl", "mask": "s6", "sigma": 6.0, "choice": "shared", "n": 100}


def arm(name: str, dataset: str, value: float, width: float, epoch: int = 10, **more: Any) -> Any:
    row = IDS | {"dataset": dataset, "arm": name, "epoch": epoch, "metric": "accuracy"}
    ends = {"value": value, "ci_low": value - width, "ci_high": value + width}
    return row | ends | {"interval": "bootstrap 95 %"} | more


def table(layer: float, beside: float) -> list[Any]:
    """Two data sets; located 0.8 on alpha, as far above `layer` as the intervals let it."""
    minus = {"comparison": "located minus"}
    return [
        arm("none", "alpha", 0.5, 0.05, epoch=0),
        arm("located", "alpha", 0.8, 0.05, rate=0.001, n_draws=5),
        arm("layer", "alpha", layer, 0.05, rate=0.001, n_draws=3),
        arm("layer", "alpha", beside, 0.04, **minus),
        arm("layer", "alpha", 10 * beside, 0.4, metric="log_probability", **minus),
        arm("none", "beta", 0.3, 0.05, epoch=0),
        arm("located", "beta", 0.7, 0.05),
        arm("layer", "beta", 0.68, 0.05),
        arm("layer", "beta", 0.02, 0.05, **minus),
        IDS | {"dataset": "gamma", "arm": "located", "epoch": 10, "metric": "accuracy",
               "interval": "empty mask", "n": 0},
        IDS | {"dataset": "alpha", "arm": "located", "metric": "trained_values", "value": 4608.0,
               "choice": ""},
    ]  # fmt: skip


def test_numbers_stand_where_they_belong(changed):
    _, page, html = changed({"enhancement": table(0.6, 0.2)})
    found = page.table("Right answers after training")
    located = found.row("located neurons")
    assert located[1:] == ["80.0 75.0–85.0", "70.0 65.0–75.0", "empty mask", "4,608"]
    assert found.row("no training")[1] == "50.0 45.0–55.0"
    beside = page.table("Located neurons minus other arms after 10 epochs, right answers")
    assert beside.rows[-1][1:3] == ["20.0 16.0–24.0", "2.0 -3.0 to 7.0"]
    nat = page.table("Located neurons minus other arms after 10 epochs, log-probability")
    assert nat.rows[-1][1] == "2.000 1.600 to 2.400"
    assert "exploratory: 5 orders of the data, 3 draws of random neurons, no" in page.texts()
    assert "one learning rate for all arms (0.001);" in found.caption
    # Only on alpha is the best arm apart from all others.
    assert html.count('<strong class="value">') == 1
    text = page.texts()
    assert "Right answers: better on Word problems; not told apart on Story look-up." in text


def test_rates_that_differ_between_data_sets(changed):
    rows = [row | {"rate": 0.003} if row["dataset"] == "beta" else row for row in table(0.6, 0.2)]
    _, page, _ = changed({"enhancement": rows})
    caption = page.table("Right answers after training").caption
    assert "one learning rate for all arms (0.001 or 0.003, by data set);" in caption


@pytest.mark.parametrize(
    ("beside", "told"),
    [(0.0, "not told apart on Word problems and Story"), (-0.2, "worse on Word")],
)
def test_located_that_is_not_better_is_called_so(changed, beside, told):
    _, page, html = changed({"enhancement": table(0.8 - beside, beside)})
    assert html.count('<strong class="value">') == (1 if beside < -0.1 else 0)
    text = page.texts()
    assert f"Right answers: {told}" in text
    assert "Nothing here says that the located neurons are the ones to train." in text


def test_the_matrix_of_sources_and_targets(changed):
    cross = [
        {"model": "tiny", "method": "cnl", "mask": "s6", "source": source, "dataset": target,
         "sets": sets, "arm": "located", "comparison": comparison, "metric": "log_probability",
         "value": value + (sets == "equal"),
         "ci_low": value - 0.1, "ci_high": value + 0.1, "n": 100}
        for source, target, comparison, value in (
            ("alpha", "alpha", "change", 1.5), ("alpha", "alpha", "beside layer", 0.5),
            ("alpha", "beta", "change", -0.7), ("alpha", "beta", "beside layer", -0.05),
            ("all", "same minus other", "change", 0.3),
        )
        for sets in ("own", "equal")
    ]  # fmt: skip
    _, page, _ = changed({"enhancement": table(0.6, 0.2), "cross_enhancement": cross})
    own, equal = (t for t in page.tables if t.caption.startswith("Across data sets"))
    assert "all located neurons of each" in own.caption and "equally many" in equal.caption
    assert own.row("Word problems")[1:3] == ["1.500 +0.500", "-0.700 -0.050"]
    assert "located neurons trained 0.300 (0.200 to 0.400)" in page.texts()
    assert equal.row("Word problems")[1:3] == ["2.500 +1.500", "0.300 +0.950"]


def test_the_paper_is_labelled_as_other_models_and_its_wrong_average_is_told(changed):
    _, page, _ = changed({"enhancement": table(0.6, 0.2)})
    found = page.table("Paper (other models, other data): Table 2")
    assert len(found.rows) == 2 + 9
    assert found.rows[7][-4:] == ["26.31", "51.62", "56.02", "44.65"]
    told = "The printed average 28.95 (Llama2-7B, sigma 6, w/o located, after 1 epoch) is wrong"
    assert f"{told}: its cells give 29.61" in page.texts()
    assert page.texts().count("The printed average") == 1


def test_no_section_without_the_experiment(page, html):
    assert "What training them does" not in html

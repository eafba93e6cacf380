import re

import example_run
import pytest
from page_reader import Reader

from caploc.report.inputs import read_inputs
from caploc.report.page import render

RUN = {row["id"]: row["title"] for row in example_run.TASKS}


def _expected(dataset: str, metric: str, arm: str = "located", mask: str = "s6") -> dict:
    """The row of the largest n, straight from the table."""
    rows = [
        row
        for row in example_run.agreement()
        if (row["dataset"], row["metric"], row["arm"], row["mask"]) == (dataset, metric, arm, mask)
        and row["comparison"] == "halves"
    ]
    return max(rows, key=lambda row: row["n_half"])


def _with_range(row: dict) -> str:
    low, high = (f"{100 * row[key]:.1f}" for key in ("ci_low", "ci_high"))
    return f"{100 * row['value']:.1f} {low}–{high}"


@pytest.mark.parametrize("task", ["alpha", "beta", "gamma"])
def test_every_number_of_table_1_is_that_of_the_table(page, task):
    cells = page.table("Agreement of two halves").row(RUN[task])
    cross = [
        row["value"]
        for row in example_run.agreement()
        if row["comparison"] == "shuffled-mask"
        and (row["dataset"], row["mask"], row["metric"]) == (task, "s6", "overlap")
    ]
    assert cells[1:] == [
        "200",
        f"{100 * _expected(task, 'located_share_whole')['value']:.2f}",
        f"{100 * _expected(task, 'located_share')['value']:.2f}",
        _with_range(_expected(task, "overlap")),
        _with_range(_expected(task, "iou")),
        f"{100 * _expected(task, 'chance_overlap_uniform')['value']:.2f}",
        f"{100 * _expected(task, 'chance_overlap_layer')['value']:.2f}",
        _with_range(_expected(f"{task}.shuffled", "overlap", "shuffled")),
        f"{100 * cross[0]:.1f}",
    ]


@pytest.mark.parametrize(
    ("arm", "title"), [("mixture", "Mixture of all data sets"), ("neutral", "Neutral text")]
)
def test_references_stand_in_table_1(page, arm, title):
    cells = page.table("Agreement of two halves").row(title)
    assert cells[4] == _with_range(_expected(arm, "overlap", arm))
    assert cells[8:] == ["–", "–"]


def test_a_changed_number_changes_the_page(changed):
    rows = example_run.agreement()
    target = next(
        row
        for row in rows
        if (row["dataset"], row["mask"], row["metric"], row["n_half"])
        == ("alpha", "s6", "overlap", 200)
    )
    target["value"], target["ci_low"], target["ci_high"] = 0.1234, 0.11, 0.13
    _, page, _ = changed(tables={"agreement": rows})
    assert page.table("Agreement of two halves").row(RUN["alpha"])[4] == "12.3 11.0–13.0"


def test_not_computed_is_said_with_its_reason_and_never_zero(page):
    row = page.table("Agreement of two halves").row(RUN["delta"])
    assert row[1:] == ["not computed: n = 3, needs 20"]
    assert page.table("Exact matches").row(RUN["delta"])[3] == "not computed"
    assert page.table("Overlap between").row(RUN["delta"])[1] == "not computed"


def test_an_empty_mask_is_a_share_of_zero_without_an_overlap(page):
    row = page.table("Located share of the whole sample").row(RUN["gamma"])
    assert row[7:] == ["0.00", "empty mask", "empty mask"]
    assert "0.0" not in row[8:]


def test_an_empty_headline_mask_is_shown_in_the_map(changed):
    _, page, _ = changed(headline_mask="s12")
    assert "empty mask: no neuron passes the threshold" in page.texts()
    assert page.table("Agreement of two halves").row(RUN["gamma"])[4] == "empty mask"
    assert page.table("Overlap between").row(RUN["alpha"])[3] == "empty mask"


def test_only_some_splits_with_a_value_are_counted(changed):
    rows = example_run.agreement()
    for row in rows:
        if row["dataset"] == "alpha" and row["metric"] == "overlap" and row["n"] == 5:
            row["n"] = 3
    _, page, _ = changed(tables={"agreement": rows})
    assert page.table("Agreement of two halves").row(RUN["alpha"])[4].endswith("3 of 5 splits")


def test_the_paper_stands_beside_it_under_its_own_name(page):
    table = page.table("Paper (other models, other data)")
    assert table.row("GSM8K")[1:4] == ["96.42", "93.08", "0.14"]
    assert table.row("Imdb")[-3:] == ["98.27", "96.60", "0.26"]
    assert len(table.rows) == 7


def test_the_diagonal_of_the_matrix_is_the_own_agreement(page):
    table = page.table("Overlap between")
    assert table.row(RUN["alpha"])[1:4] == ["91.0", "61.0", "22.0"]
    assert table.row(RUN["beta"])[1:4] == ["61.0", "84.0", "18.0"]


def test_converged_masks(page):
    row = page.table("Mask of a few samples").row(RUN["alpha"])
    assert row[2:] == ["83.0", "21.4"]


def test_integration_errors_are_relative_to_the_effect(page):
    row = page.table("Mean integration error").row(RUN["alpha"])
    assert row[1:3] == [
        "1.3 0.003 · 0.009 · 0.05 of 0.3, ends 0.016",
        "1.3 0.0015 · 0.009 · 0.05 of 0.15, ends 0.008",
    ]


def test_dropped_samples_and_split_check(page):
    dropped = page.table("Samples left out")
    assert dropped.row(RUN["alpha"])[1:] == ["locate", "any", "no <answer>", "7"]
    assert dropped.row(RUN["beta"])[1:] == ["locate", "tiny", "does not fit the context", "2"]
    assert page.table("Samples in each split").row(RUN["delta"])[1:3] == ["3", "–"]
    assert "within a data set 0 over 1 pair" in page.texts()
    assert "between different data sets 4 over 1 pair" in page.texts()


def test_a_data_set_outside_the_useful_range_is_flagged(page):
    table = page.table("Exact matches")
    assert table.row(RUN["gamma"])[-1] == "outside 20–95\N{NO-BREAK SPACE}%"
    assert table.row(RUN["alpha"])[-1] == ""


def test_text_of_the_run_is_escaped_everywhere(html, page):
    assert '<b>&"' in page.texts()
    for raw in ("<b>&", "<i>run", "<answer>"):
        assert raw not in html
    assert {"b", "i", "script", "answer"}.isdisjoint(tag for tag, _ in page.tags)


def test_hostile_titles_break_neither_attributes_nor_drawings(changed):
    title = '"><script>alert(1)</script>'
    tasks = [task | {"title": title} for task in example_run.TASKS[:1]] + example_run.TASKS[1:]
    _, page, text = changed(tasks=tasks)
    assert "<script" not in text
    assert title in page.texts()


def test_nothing_is_loaded_from_anywhere(html, page):
    loading = [
        (tag, name, value)
        for tag, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action")
        and not (value or "").startswith("#")
    ]
    tables = {value for tag, name, value in loading if value.startswith("tables/")}
    loading = [one for one in loading if one[2] not in tables]
    assert loading == [
        ("link", "href", "data:,"),
        ("a", "href", "https://arxiv.org/abs/2502.20992"),
    ]
    # Links to the tables beside the page load nothing until somebody follows them.
    assert tables == {f"tables/{name}.csv" for name in (
        "agreement", "neurons", "base", "samples", "completeness")}  # fmt: skip
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)|<(script|iframe|img|object|embed)\b", html)
    addresses = set(re.findall(r"https?://[^\"'\s<]+", html))
    assert addresses == {"https://arxiv.org/abs/2502.20992"}


def test_same_inputs_same_bytes(inputs, html, job):
    assert render(inputs) == html
    assert render(read_inputs(job)) == html


def test_ids_are_unique_and_every_entry_of_the_contents_leads_somewhere(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for tag, a in page.tags if tag == "a" and a["href"].startswith("#")}
    assert links <= set(ids)
    assert len(links) == 10


def test_every_drawing_and_every_header_speaks(page):
    for tag, attributes in page.tags:
        if tag == "svg":
            is_figure = attributes.get("class") == "chart"
            assert attributes["aria-label" if is_figure else "aria-hidden"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col", "rowgroup", "colgroup")


def test_two_models_are_told_apart(changed):
    rows = {}
    for name in ("agreement", "neurons", "base", "completeness"):
        table = getattr(example_run, name)()
        rows[name] = table + [row | {"model": "other"} for row in table]
    _, page, _ = changed(tables=rows, models=["tiny", "other"])
    assert len([t for t in page.tables if t.caption.startswith("Agreement of two halves")]) == 2
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_run_without_any_number_still_gives_a_page(changed):
    empty = {name: [] for name in ("agreement", "neurons", "base", "samples", "completeness")}
    _, page, _ = changed(tables=empty, pairs=[], neutral=None)
    assert page.table("Agreement of two halves").row(RUN["alpha"])[1:] == ["not computed"]
    assert not any(tag == "svg" and a.get("class") == "chart" and "map" in str(a)
                   for tag, a in page.tags)  # fmt: skip


def test_equal_titles_get_their_ids(changed):
    tasks = [task | {"title": "Own data"} for task in example_run.TASKS]
    view, page, _ = changed(tasks=tasks)
    assert view.inputs.tasks[0].title == "Own data (alpha)"
    assert page.table("Agreement of two halves").row("Own data (beta)")[1] == "200"


def test_titles_come_from_the_plug_in_where_the_settings_give_none(changed):
    tasks = [{"id": "alpha", "plugin": "word_problems"}, *example_run.TASKS[1:]]
    view, _, _ = changed(tasks=tasks)
    assert view.inputs.tasks[0].capability == "mathematics"
    assert view.inputs.tasks[0].title == "Word problems"


def test_the_reader_of_these_tests_sees_cells():
    table = Reader("<table><tr><th>a</th><td><b>1</b> <i>2</i></td></tr></table>").tables[0]
    assert table.rows == [["a", "1 2"]]


def test_one_mask_has_a_table_and_no_curve(changed):
    _, page, _ = changed(masks=[{"id": "s6", "sigma": 6.0}])
    assert page.table("Located share of the whole sample").row(RUN["alpha"])[1] == "0.43"
    assert not [a for tag, a in page.tags if tag == "svg" and "against sigma" in str(a)]


def test_two_masks_of_one_threshold_are_told_apart_by_name(changed):
    masks = [{"id": "s6", "sigma": 6.0}, {"id": "s3", "sigma": 6.0}]
    _, page, _ = changed(masks=masks)
    assert page.table("Located share of the whole sample").rows[0][1:] == [
        "s6: sigma 6, used elsewhere",
        "s3: sigma 6",
    ]


def test_a_reference_that_was_not_run_has_no_row(changed):
    rows = [row for row in example_run.agreement() if row["arm"] not in ("mixture", "neutral")]
    _, page, _ = changed(tables={"agreement": rows}, neutral=None)
    titles = [row[0] for row in page.table("Agreement of two halves").rows if row]
    assert "References" not in titles
    assert "Mixture of all data sets" not in titles

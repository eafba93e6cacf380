"""The table `erasure`, pivoted: what silencing located neurons does, beside the random sets."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import altair as alt

from caploc.report.cells import number
from caploc.report.figures import Panel
from caploc.report.formatting import Number
from caploc.report.palette import CHANCE, LOCATED, MIXTURE, Series
from caploc.report.svg import inline_svg
from caploc.report.views import View

__all__ = ["DOSE_SERIES", "erasure", "paper"]

_NO_MATCH = 0.25
DOSE_SERIES = (
    Series("located", "farthest from the mean score", LOCATED.colour, "", (1, 0)),
    Series("activation-size", "largest activations", MIXTURE.colour, "", (6, 3)),
    Series("random", "random, same number in each layer", CHANCE.colour, "", (2, 3)),
)
_ARMS = (
    ("located", "all", "", "located, at every position"),
    ("located", "answer", "", "located, where answer tokens are predicted"),
    ("located", "mean", "", "located, mean over neutral text in place of 0"),
    ("positive", "all", "", "located with a positive score only"),
    ("negative", "all", "", "located with a negative score only"),
    ("activation-size", "all", "", "largest activations"),
    ("gradient-activation", "all", "", "largest gradient × activation"),
    ("task-neurons", "all", "", "task neurons (Leng & Xiong)"),
    ("located", "all", "matched", "random, matched in layer and size"),
    ("located", "all", "layer", "random, same number in each layer"),
    ("located", "all", "uniform", "random, anywhere"),
)


class _Cells:
    """Numbers of one model, method and number of worked examples."""

    def __init__(self, view: View, shots: int) -> None:
        self.rows: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        for row in view.inputs.tables["erasure"]:
            if (row["model"], row["method"]) != (view.model, view.method):
                continue
            # Sizes and neutral text do not depend on worked examples.
            if row["shots"] is None or row["shots"] == shots:
                names = ("dataset", "mask", "arm", "mode", "control", "share", "metric")
                self.rows[tuple(row[name] for name in names)] = row

    def row(
        self, dataset: str, mask: str, metric: str, control: str = "", arm: str = "located",
        mode: str = "all", share: float | None = None,
    ) -> Mapping[str, Any] | None:  # fmt: skip
        return self.rows.get((dataset, mask, arm, mode, control, share, metric))

    def number(self, dataset: str, mask: str, metric: str, **where: Any) -> Number:
        arm, mode = where.get("arm", "located"), where.get("mode", "all")
        size = self.row(dataset, mask, "n_neurons", "", arm, mode)
        if size is not None and size["value"] == 0 and arm != "base":
            return Number(reason="no neuron (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0)")
        return number(self.row(dataset, mask, metric, **where))


def erasure(view: View) -> list[dict[str, Any]]:
    """What the page shows for each number of worked examples; empty if nothing was silenced."""
    rows = view.inputs.tables.get("erasure", [])
    shots = sorted({row["shots"] for row in rows if row["shots"] is not None})
    return [_of_shots(view, _Cells(view, k), k) for k in shots]


def _of_shots(view: View, cells: _Cells, shots: int) -> dict[str, Any]:
    masks = view.inputs.spec["masks"]
    datasets = [(task.id, task.title) for task in view.inputs.tasks]
    return {
        "shots": shots,
        "masks": masks,
        "accuracy": [
            {
                "title": title,
                "base": number(cells.row(dataset, "", "accuracy", arm="base")),
                "masks": [_accuracy(cells, dataset, mask["id"]) for mask in masks],
            }
            for dataset, title in [*datasets, ("average", "Average")]
        ],
        "primary": [_primary(cells, view.mask, *names) for names in datasets],
        "arms": [
            (
                title,
                [
                    cells.number(d, view.mask, "logprob_fall", arm=arm, mode=mode, control=control)
                    for d, _ in datasets
                ],
            )
            for arm, mode, control, title in _ARMS
        ],
        "doses": [
            {
                "title": title,
                **{
                    key: number(cells.row(d, "", metric, control, arm))
                    for key, metric, control, arm in (
                        ("located", "dose_area", "", "located"),
                        ("size", "dose_area", "", "activation-size"),
                        ("random", "dose_area", "layer", "located"),
                        ("excess", "dose_area_excess", "layer", "located"),
                    )
                },
            }
            for d, title in datasets
        ],
        "panels": _dose_panels(view, cells, shots),
        "fluency": [_fluency(cells, view.mask, *names) for names in datasets],
        "scores": [_scores(cells, view.mask, *names) for names in datasets],
    }


def _accuracy(cells: _Cells, dataset: str, mask: str) -> dict[str, Any]:
    located = cells.number(dataset, mask, "accuracy")
    random = cells.number(dataset, mask, "accuracy", control="matched")
    # Marked only where the interval of the located set and the range of the draws are apart.
    apart = located.has_value and random.has_value and located.top < random.bottom
    excess = cells.number(dataset, mask, "accuracy_excess", control="matched")
    return {
        "located": located,
        "random": random,
        "apart": apart,
        "change": cells.number(dataset, mask, "accuracy_change"),
        "random_change": cells.number(dataset, mask, "accuracy_change", control="matched"),
        "excess": excess,
        "worse": excess.has_value and excess.top < 0,
    }


def _primary(cells: _Cells, mask: str, dataset: str, title: str) -> dict[str, Any]:
    row = cells.row(dataset, mask, "logprob_excess", "matched")
    size = number(cells.row(dataset, mask, "size_difference", "matched"))
    kinds = cells.row(dataset, mask, "n_distinct", "matched")
    return {
        "title": title,
        "n_neurons": cells.row(dataset, mask, "n_neurons"),
        "base": number(cells.row(dataset, "", "logprob", arm="base")),
        "located": cells.number(dataset, mask, "logprob_fall"),
        "random": cells.number(dataset, mask, "logprob_fall", control="matched"),
        "excess": cells.number(dataset, mask, "logprob_excess", control="matched"),
        "p": row["p"] if row else None,
        "p_holm": row["p_holm"] if row else None,
        "n_draws": row["n_draws"] if row else None,
        "n_distinct": int(kinds["value"]) if kinds else None,
        "size": size,
        "matched": size.value is not None and abs(size.value) <= _NO_MATCH,
    }


def _fluency(cells: _Cells, mask: str, dataset: str, title: str) -> dict[str, Any]:
    return {"title": title} | {
        f"{metric}_{name}": number(cells.row(dataset, where, metric, control, arm))
        for metric in ("perplexity", "malformed")
        for name, where, control, arm in (
            ("base", "", "", "base"),
            ("located", mask, "", "located"),
            ("random", mask, "matched", "located"),
        )
    }


def _scores(cells: _Cells, mask: str, dataset: str, title: str) -> dict[str, Any]:
    """Further scores of generated answers, as far as the form of the answers has them."""
    found = []
    for metric, name in (
        ("lenient", "last number, wherever it stands"),
        ("ranked", "label ranked first by log-probability"),
        ("bleu", "sentence BLEU"),
        ("parses", "parses as Python"),
        ("exact", "greedy decoding says the gold answer"),
    ):
        base = number(cells.row(dataset, "", metric, arm="base"))
        if base.has_value:
            located = cells.number(dataset, mask, metric)
            random = cells.number(dataset, mask, metric, control="matched")
            found.append({"name": name, "base": base, "located": located, "random": random})
    return {"title": title, "scores": found}


def _dose_panels(view: View, cells: _Cells, shots: int) -> list[Panel]:
    shares = sorted({key[5] for key in cells.rows if key[5] is not None})
    panels = []
    for task in view.inputs.tasks:
        rows = []
        for series, arm, control in (
            ("located", "located", ""),
            ("activation-size", "activation-size", ""),
            ("random", "located", "layer"),
        ):
            for share in shares:
                found = number(cells.row(task.id, "", "logprob_fall", control, arm, "all", share))
                if found.value is not None:
                    rows.append({"x": 100 * share, "series": series, "value": found.value,
                                 "low": found.bottom, "high": found.top})  # fmt: skip
        if not rows:
            continue
        name = f"{view.slug}-dose-{shots}-{task.id}"
        spoken = f"{task.title}: fall of the log-probability against the share of silenced neurons"
        panels.append(Panel(task.title, inline_svg(_dose_chart(rows, task.title), name, spoken)))
    return panels


def _dose_chart(rows: list[dict[str, Any]], title: str) -> alt.TopLevelMixin:
    keys = [s.key for s in DOSE_SERIES]
    colour = alt.Color(
        "series:N", legend=None, scale=alt.Scale(domain=keys, range=[s.colour for s in DOSE_SERIES])
    )
    dash = alt.StrokeDash(
        "series:N",
        legend=None,
        scale=alt.Scale(domain=keys, range=[list(s.dash) for s in DOSE_SERIES]),
    )
    ticks = sorted({row["x"] for row in rows})
    x = alt.X(
        "x:Q",
        title="% of all neurons silenced",
        scale=alt.Scale(type="log", domain=[ticks[0], ticks[-1]], nice=False, padding=6),
        axis=alt.Axis(values=ticks, labelOverlap=True, grid=False, format="~g"),
    )
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, color=colour)
    y = alt.Y("value:Q", title="fall, nat per token")
    spans = base.mark_rule(size=1.5, opacity=0.6).encode(y="low:Q", y2="high:Q")
    lines = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash)
    return alt.layer(spans, lines).properties(width=250, height=175, title=title)


def paper() -> dict[str, Any]:
    """Table 3 of the paper."""
    text = files("caploc.report").joinpath("paper_erasure.json").read_text(encoding="utf-8")
    return json.loads(text)

"""The sections on silenced neurons: what it does, and to questions of other data sets."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from caploc.experiments.erasure._crossing_report import crossing, selective
from caploc.experiments.erasure._dose_figure import DOSE_SERIES, DOSES, dose_panels
from caploc.experiments.erasure._own_figure import own_lead, own_tiles, own_verdict
from caploc.experiments.erasure.table import CROSS_ERASURE, CROSS_OVERLAP, ERASURE
from caploc.report.findings import Finding, Tile
from caploc.report.formatting import Number, joined, points
from caploc.report.inputs import Inputs, Task
from caploc.report.numbers import matching, number, row
from caploc.report.views import View, views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "lead", "section", "tiles", "verdict"]

TABLES = {"erasure": ERASURE, "cross_erasure": CROSS_ERASURE, "cross_overlap": CROSS_OVERLAP}
ORDER = 20
CONTENTS = (
    ("erasure", "What silencing them does"),
    ("crossing", "Neurons of one, questions of another"),
)
_NO_MATCH = 0.25
_SIGNIFICANT = 0.05
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
_SCORES = {
    "lenient": "last number, wherever it stands",
    "ranked": "label ranked first by log-probability",
    "bleu": "sentence BLEU",
    "parses": "parses as Python",
    "exact": "greedy decoding says the gold answer",
}
# Where a row says nothing else.
_PLAIN: dict[str, Any] = {"arm": "located", "mode": "all", "control": "", "share": None}


def section(inputs: Inputs) -> dict[str, Any] | None:
    """What the page shows; None if nothing was silenced.

    Returns:
        ``erasure`` and ``crossing``, each None if the run has no such table. ``erasure`` has the
        ``paper`` (its Table 3), the legend ``series`` and of every view the tables ``by_shots``,
        one for each number of worked examples.
    """
    tables = inputs.tables
    found: dict[str, Any] = {"erasure": None, "crossing": None}
    if "erasure" in tables:
        paper = json.loads(Path(__file__).with_name("paper.json").read_text(encoding="utf-8"))
        of_views = [
            {"view": v, "by_shots": [_tables(v, *part) for part in _shots(v).items()]}
            for v in views(inputs)
        ]
        found["erasure"] = {"paper": paper, "series": DOSE_SERIES, "views": of_views}
    if "cross_erasure" in tables:
        found["crossing"] = [{"view": v, "found": crossing(v)} for v in views(inputs)]
    return found if any(part is not None for part in found.values()) else None


lead, verdict = own_lead, own_verdict


def findings(view: View) -> list[Finding]:
    """What silencing shows, and whether it is selective."""
    return [found for found in (_silencing(view), selective(view)) if found is not None]


def tiles(view: View) -> list[Tile]:
    """Right answers that silencing costs on average; empty if nothing was silenced."""
    located, random = _average(view)
    if not located.has_value:
        return own_tiles(view)
    beside = f"matched random neurons: {_span(random)}" if random.has_value else "no matched sets"
    return [
        *own_tiles(view),
        Tile(
            f"{points(located.value or 0.0)} points",
            "right answers when a data set loses its located neurons, on average",
            f"95 % interval {points(located.bottom)} to {points(located.top)}; {beside}",
        ),
    ]


def _shots(view: View) -> dict[int, pl.DataFrame]:
    """Rows by number of worked examples; empty if nothing was silenced."""
    frame = view.inputs.tables.get("erasure", pl.DataFrame(schema=dict(ERASURE)))
    own = matching(frame, model=view.model, method=view.method)
    shots = pl.col("shots")
    return {
        # Sizes and neutral text do not depend on worked examples.
        k: own.filter(shots.is_null() | (shots == k))
        for k in frame["shots"].drop_nulls().unique().sort()
    }


def _number(frame: pl.DataFrame, **where: Any) -> Number:
    """A number of a set of neurons, or the remark that the set is empty."""
    where = {**_PLAIN, **where}
    size = {**where, "metric": "n_neurons", "control": "", "share": None}
    if number(frame, **size).value == 0:
        return Number(reason="no neuron (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0)")
    return number(frame, **where)


def _plain(frame: pl.DataFrame, **where: Any) -> Number:
    return number(frame, **{**_PLAIN, **where})


def _base(frame: pl.DataFrame, metric: str) -> Number:
    """A number of the unchanged model."""
    return _plain(frame, mask="", arm="base", metric=metric)


def _tables(view: View, shots: int, frame: pl.DataFrame) -> dict[str, Any]:
    masks, tasks = view.inputs.spec["masks"], view.inputs.tasks
    averaged = [*((task.id, task.title) for task in tasks), ("average", "Average")]
    own = {task: matching(frame, dataset=task.id) for task in tasks}
    headline = {task: matching(of_task, mask=view.mask) for task, of_task in own.items()}
    return {
        "shots": shots,
        "masks": masks,
        "accuracy": [
            {
                "title": title,
                "base": _base(matching(frame, dataset=dataset), "accuracy"),
                "masks": [
                    _accuracy(matching(frame, dataset=dataset, mask=mask["id"])) for mask in masks
                ],
            }
            for dataset, title in averaged
        ],
        "matched": [_matched(own[task], headline[task], task) for task in tasks],
        "arms": [
            (
                title,
                [
                    _number(
                        headline[task], metric="logprob_fall", arm=arm, mode=mode, control=control
                    )
                    for task in tasks
                ],
            )
            for arm, mode, control, title in _ARMS
        ],
        "doses": [
            {
                "title": task.title,
                "numbers": [
                    *(_plain(own[task], mask="", metric="dose_area", **a) for a in DOSES.values()),
                    _plain(own[task], mask="", metric="dose_area_excess", control="layer"),
                ],
            }
            for task in tasks
        ],
        "panels": dose_panels(view, own, shots),
        "fluency": [(task.title, _fluency(own[task], headline[task])) for task in tasks],
        "scores": [
            (task.title, name, *_beside(own[task], headline[task], metric))
            for task in tasks
            for metric, name in _SCORES.items()
            # As far as the form of the answers has them.
            if _base(own[task], metric).has_value
        ],
    }


def _accuracy(frame: pl.DataFrame) -> dict[str, Any]:
    """Of one data set and mask."""
    located = _number(frame, metric="accuracy")
    random = _number(frame, metric="accuracy", control="matched")
    excess = _number(frame, metric="accuracy_excess", control="matched")
    return {
        "located": located,
        "random": random,
        # Marked only where the interval of the located set and the range of the draws are apart.
        "apart": located.has_value and random.has_value and located.top < random.bottom,
        "change": _number(frame, metric="accuracy_change"),
        "random_change": _number(frame, metric="accuracy_change", control="matched"),
        "excess": excess,
        "worse": excess.has_value and excess.top < 0,
    }


def _matched(own: pl.DataFrame, frame: pl.DataFrame, task: Task) -> dict[str, Any]:
    matched = {**_PLAIN, "control": "matched"}
    tested = row(frame, **matched, metric="logprob_excess") or {}
    size = number(frame, **matched, metric="size_difference")
    return {
        "title": task.title,
        "n_neurons": _plain(frame, metric="n_neurons"),
        "base": _base(own, "logprob"),
        "located": _number(frame, metric="logprob_fall"),
        "random": _number(frame, metric="logprob_fall", control="matched"),
        "excess": _number(frame, metric="logprob_excess", control="matched"),
        **{name: tested.get(name) for name in ("p", "p_holm", "n_draws")},
        "n_distinct": number(frame, **matched, metric="n_distinct").value,
        "size": size,
        "matched": size.value is not None and abs(size.value) <= _NO_MATCH,
    }


def _beside(own: pl.DataFrame, frame: pl.DataFrame, metric: str) -> list[Number]:
    """Unchanged, located and matched random."""
    located = _number(frame, metric=metric)
    return [_base(own, metric), located, _number(frame, metric=metric, control="matched")]


def _fluency(own: pl.DataFrame, frame: pl.DataFrame) -> list[list[Number]]:
    """Perplexity and malformed answers: unchanged, located and matched random."""
    return [
        [
            _base(own, metric),
            _plain(frame, metric=metric),
            _plain(frame, metric=metric, control="matched"),
        ]
        for metric in ("perplexity", "malformed")
    ]


def _average(view: View) -> tuple[Number, Number]:
    """Change of the average accuracy at the headline mask: located and matched random."""
    frame = next(iter(_shots(view).values()), pl.DataFrame(schema=dict(ERASURE)))
    own = matching(frame, dataset="average", mask=view.mask)
    change = _number(own, metric="accuracy_change")
    return change, _number(own, metric="accuracy_change", control="matched")


def _span(found: Number) -> str:
    text = points(found.value or 0.0)
    if found.low is None or found.high is None:
        return text
    return f"{text} ({points(found.low)} to {points(found.high)})"


def _silencing(view: View) -> Finding | None:
    frame = next(iter(_shots(view).values()), None)
    if frame is None:
        return None
    rows = [
        _matched(own, matching(own, mask=view.mask), task)
        for task in view.inputs.tasks
        for own in [matching(frame, dataset=task.id)]
    ]
    tested = [one for one in rows if one["p_holm"] is not None]
    text = _changed(*_average(view))
    if not tested:
        return Finding("note", "Silencing them", text + "Not tested against random sets.")
    floor = len(tested) / (min(one["n_draws"] for one in tested) + 1)
    if floor > _SIGNIFICANT:
        text += (
            f"Against random sets no test can decide: with {tested[0]['n_draws']} sets and "
            f"{len(tested)} tests p is at least {floor:.2g} after Holm's correction."
        )
        return Finding("note", "Silencing them", text)
    worse = [one for one in tested if one["p_holm"] <= _SIGNIFICANT and one["excess"].value > 0]
    text += (
        f"The gold answer loses more log-probability than with matched neurons in {len(worse)} of "
        f"{len(tested)} data sets (p at most {_SIGNIFICANT:g} after Holm's correction"
    )
    text += f": {joined([one['title'] for one in worse])}). " if worse else "). "
    if not worse:
        return Finding("against", "Silencing them", text.strip())
    unmatched = [one["title"] for one in worse if not one["matched"]]
    if unmatched:
        whole = "In each of them" if len(unmatched) == len(worse) else f"In {joined(unmatched)}"
        text += (
            f"{whole} the located neurons are larger than any others of their layers, so there is "
            "no real match and part of the effect may be size."
        )
    fair = len(worse) == len(tested) and not unmatched
    return Finding("supports" if fair else "mixed", "Silencing them", text.strip())


def _changed(located: Number, random: Number) -> str:
    if not located.has_value:
        return ""
    text = "Losing its located neurons changes the right answers of a data set by "
    text += f"{_span(located)} percentage points on average"
    if random.has_value:
        text += f", losing matched random neurons by {_span(random)}"
    return f"{text}. "

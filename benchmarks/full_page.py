"""The tables of the complete run in short, as Markdown; `benchmarks/full.py` writes it.

Every number is a row of benchmarks/results/full/*.csv; brackets are its interval, 95 %.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

ARMS = {
    "none": "no training",
    "scaled": "located activations doubled, no training",
    "located": "located",
    "layer": "random, same layers",
    "uniform": "random, all layers",
    "lora": "LoRA",
    "rest": "all but located",
    "full": "whole FFN",
}
METRICS = {
    "accuracy": "right answers, points",
    "log_probability": "log-probability of the gold answer, nat",
}
CHOICES = {"shared": "one rate for all arms", "best": "the best rate of each arm"}
SETS = {
    "own": "own masks",
    "equal": "equal counts",
    "own-distinct": "own masks without common neurons",
    "equal-distinct": "equal counts without common neurons",
}
Row = dict[str, Any]


def page(tables: dict[str, pl.DataFrame], facts: Row) -> str:
    """The whole page.

    Args:
        tables: base, erasure, enhancement and cross_enhancement, rows of all models.
        facts: of each model, its machine and the processor seconds of its jobs by rule.
    """
    models = sorted(tables["enhancement"]["model"].unique())
    parts = [
        "# Complete run of the enhancement experiment",
        "`snakemake --cores 2 --configfile config/full.yaml`, then `python benchmarks/full.py`, "
        "which writes this page from the tables in `full/`. Brackets: 95 % intervals as in those "
        "tables. Models differ in their seed alone.",
        _jobs(facts, models),
        *_base(tables["base"], models),
        *_erasure(tables["erasure"], models),
        *_enhancement(tables["enhancement"], models),
        *_cross(tables["cross_enhancement"], models),
    ]
    return "\n\n".join(parts) + "\n"


def _jobs(facts: Row, models: Sequence[str]) -> str:
    lines = []
    for name in models:
        seconds, machine = facts[name]["processor_seconds"], facts[name]["machine"]
        lines.append(
            [name, f"{sum(seconds.values()) / 3600:.2f}",
             f"{seconds.get('enhance_task', 0.0) / 3600:.2f}",
             f"{seconds.get('erase_neurons', 0.0) / 3600:.2f}",
             f"{machine['cores']} x {machine['cpu']}, {machine['vector']}",
             facts[name]["commit"][:7]]
        )  # fmt: skip
    head = ["model", "processor hours", "of them training", "silencing", "machine", "commit"]
    return _markdown(head, lines)


def _base(table: pl.DataFrame, models: Sequence[str]) -> list[str]:
    rows = table.filter((pl.col("metric") == "exact_match") & (pl.col("split") == "test"))
    tasks = sorted(rows["dataset"].unique())
    lines = [[m, *(_shown(rows, 100, 0, model=m, dataset=t) for t in tasks)] for m in models]
    return ["## Right answers without any change, percent", _markdown(["model", *tasks], lines)]


def _erasure(table: pl.DataFrame, models: Sequence[str]) -> list[str]:
    rows = table.filter(
        (pl.col("mask") == "s6") & (pl.col("arm") == "located") & (pl.col("mode") == "all")
        & pl.col("share").is_null() & (pl.col("shots") == 0)
    )  # fmt: skip
    tasks = _tasks(rows)
    kinds = (
        ("located", "accuracy_change", ""),
        ("matched random", "accuracy_change", "matched"),
        ("located minus random", "accuracy_excess", "matched"),
    )
    lines = [
        [m, title, *(_shown(rows, 100, 1, model=m, dataset=t, metric=metric, control=control)
                     for t in tasks)]
        for m in models
        for title, metric, control in kinds
    ]  # fmt: skip
    return ["## Silencing (Table 3): change of right answers, points, sigma 6",
            _markdown(["model", "silenced", *tasks], lines)]  # fmt: skip


def _enhancement(table: pl.DataFrame, models: Sequence[str]) -> list[str]:
    last = table["epoch"].max()
    trained = table.filter(pl.col("epoch").is_in([0, last]))
    average = trained.filter(pl.col("dataset") == "average")
    sigmas = {f"s{s:.0f}": s for s in sorted(table["sigma"].unique())}
    columns = [(m, mask) for m in models for mask in sigmas]
    head = [f"{m}, sigma {sigmas[mask]:.0f}" for m, mask in columns]
    parts = [f"## Training (Table 2): mean over the data sets after {last} epochs"]
    for choice, title in CHOICES.items():
        lines = [
            [name, *(_shown(average, 100, 1, model=m, mask=mask, choice=choice, arm=arm,
                            metric="accuracy", comparison="") for m, mask in columns)]
            for arm, name in ARMS.items()
        ]  # fmt: skip
        parts += [f"Right answers, percent, {title}:", _markdown(["arm", *head], lines)]
    sizes = table.filter(pl.col("metric") == "trained_values")
    lines = [
        [name, *(_range(sizes, model=m, mask=mask, arm=arm) for m, mask in columns)]
        for arm, name in ARMS.items()
        if arm not in ("none", "scaled")
    ]
    parts += ["Trained values, range over the data sets:", _markdown(["arm", *head], lines)]
    for metric, unit in METRICS.items():
        for choice, title in CHOICES.items():
            factor = 100 if metric == "accuracy" else 1
            lines = [
                [ARMS[arm], *(_shown(average, factor, 1 if factor > 1 else 2, model=m, mask=mask,
                                     choice=choice, arm=arm, metric=metric,
                                     comparison="located minus") for m, mask in columns)]
                for arm in ("layer", "uniform", "lora", "rest", "full")
            ]  # fmt: skip
            parts += [f"Located minus another arm, {unit}, {title}:",
                      _markdown(["arm", *head], lines)]  # fmt: skip
    return [*parts, *_counts(trained, sigmas)]


def _counts(table: pl.DataFrame, sigmas: dict[str, float]) -> list[str]:
    """In how many cells (model and data set) an interval lies above 0, below it, around it."""
    cells = table.filter((pl.col("dataset") != "average") & pl.col("value").is_not_null())
    above = (pl.col("ci_low") > 0).sum().alias("above")
    below = (pl.col("ci_high") < 0).sum().alias("below")
    lines = []
    comparisons = [("located", "change", "no training")]
    comparisons += [(a, "located minus", ARMS[a]) for a in ("layer", "uniform", "rest", "full")]
    for mask, sigma in sigmas.items():
        for arm, comparison, name in comparisons:
            line = [f"{sigma:.0f}", name]
            for choice in CHOICES:
                for metric in METRICS:
                    own = _where(
                        cells, mask=mask, arm=arm, comparison=comparison, choice=choice,
                        metric=metric,
                    ).select(above, below, pl.len().alias("n"))  # fmt: skip
                    more, less, n = own.row(0)
                    line.append(f"{more} / {less} / {n - more - less}")
            lines.append(line)
    head = ["sigma", "located beside"]
    head += [f"{m.split(',')[0]}, {c}" for c in CHOICES.values() for m in METRICS.values()]
    return ["Cells (model and data set) in which located is better / worse / not told apart:",
            _markdown(head, lines)]  # fmt: skip


def _cross(table: pl.DataFrame, models: Sequence[str]) -> list[str]:
    rows = table.filter(
        (pl.col("dataset") == "same minus other") & (pl.col("metric") == "log_probability")
    )
    kinds = (
        ("located neurons trained", "located", "change"),
        ("random neurons trained", "layer", "change"),
        ("located minus random", "located", "beside layer"),
    )
    lines = [
        [title, name, *(_shown(rows, 1, 3, model=m, sets=sets, arm=arm, comparison=comparison)
                        or _reason(table, model=m, sets=sets) for m in models)]
        for sets, title in SETS.items()
        for name, arm, comparison in kinds
    ]  # fmt: skip
    return ["## Other tasks after training (Fig. 4): gain on tasks of the same type minus gain on "
            "tasks of other types, nat",
            _markdown(["sets", "", *models], lines)]  # fmt: skip


def _tasks(rows: pl.DataFrame) -> list[str]:
    return [*sorted(set(rows["dataset"]) - {"average"}), "average"]


def _where(table: pl.DataFrame, **values: Any) -> pl.DataFrame:
    return table.filter(*(pl.col(name) == value for name, value in values.items()))


def _shown(table: pl.DataFrame, factor: float, digits: int, **values: Any) -> str:
    """The value of the one row with these values, with its interval."""
    found = _where(table, **values)
    if not len(found):
        return ""
    row = found.row(0, named=True)
    if len(found) > 1:
        raise ValueError(f"{len(found)} rows with {values}; expected one")
    if row["value"] is None:
        return row["interval"] or "not computed"
    numbers = [row[name] for name in ("value", "ci_low", "ci_high")]
    value, *ends = [f"{x * factor + 0.0:.{digits}f}" for x in numbers if x is not None]
    return f"{value} ({' to '.join(ends)})" if ends else value


def _reason(table: pl.DataFrame, **values: Any) -> str:
    """Why there is no contrast: what the cells say that are missing."""
    missing = _where(table, **values).filter(pl.col("value").is_null())
    return "; ".join(missing["interval"].unique(maintain_order=True))


def _range(table: pl.DataFrame, **values: Any) -> str:
    found = _where(table, **values)["value"].drop_nulls()
    if not len(found):
        return ""
    ends = dict.fromkeys(f"{x:,.0f}" for x in (found.min(), found.max()))
    return " to ".join(ends)


def _markdown(head: Iterable[str], lines: Iterable[Sequence[str]]) -> str:
    head = list(head)
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

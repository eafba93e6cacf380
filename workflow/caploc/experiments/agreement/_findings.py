"""What agreement says; every sentence is chosen by a comparison of two numbers."""

from caploc.experiments.agreement._pairs import pair_verdict
from caploc.experiments.agreement._places import per_layer
from caploc.experiments.agreement._report_numbers import (
    EMPTY,
    located_share,
    overlap,
    pair,
    reference,
    rows,
)
from caploc.report.findings import Finding, Tile, Tone, span_of, stands, tone_of, values_of
from caploc.report.formatting import share_span
from caploc.report.palette import CHANCE
from caploc.report.templates import finding
from caploc.report.views import View

__all__ = ["findings", "tiles"]

_ABOUT = {
    CHANCE.key: "Agreement",
    "mixture": "Against a mixture",
    "neutral": "Against neutral text",
    "shuffled": "Against shuffled answers",
}


def tiles(view: View) -> list[Tile]:
    """The numbers to read if there is time for nothing else."""
    tasks, (n_layers, n_neurons) = view.inputs.tasks, view.grid
    shares = values_of(located_share(view, task) for task in tasks)
    by_chance = span_of([reference(view, CHANCE.key, task) for task in tasks])
    return [
        Tile(
            f"{share_span(min(shares), max(shares))} %" if shares else "–",
            "of the neurons were located",
            f"per data set, of {n_layers * n_neurons:,} neurons at sigma {view.sigma:g}",
        ),
        Tile(
            span_of([overlap(view, task) for task in tasks]),
            "split-half overlap: how much of the located set other questions of the same kind "
            "return",
            f"lowest and highest data set; chance {by_chance}",
        ),
    ]


def findings(view: View) -> list[Finding]:
    """All statements about agreement, the central one first."""
    found = [_against(view, arm) for arm in _ABOUT]
    found += [_where(view), _between(view), _pairs(view), _missing(view)]
    return [finding for finding in found if finding is not None]


def _standing(view: View, arm: str) -> dict[str, list[str]]:
    """Data sets above, within and below a reference; those without values are left out."""
    sides = [
        (stands(overlap(view, task), reference(view, arm, task)), task.title)
        for task in view.inputs.tasks
    ]
    return {key: [title for s, title in sides if s == key] for key in ("above", "within", "below")}


def _against(view: View, arm: str) -> Finding | None:
    """How the data sets stand against chance or one reference."""
    found = _standing(view, arm)
    total = sum(len(titles) for titles in found.values())
    if not total:
        return None
    tasks = view.inputs.tasks
    told = [overlap(view, t) if arm == CHANCE.key else reference(view, arm, t) for t in tasks]
    return finding(
        tone_of(len(found["above"]), total), _ABOUT[arm], "agreement", "against",
        arm=arm, span=span_of(told), total=total, **found,
    )  # fmt: skip


def _where(view: View) -> Finding | None:
    spreads = [spread for task in view.inputs.tasks if (spread := per_layer(view, task))]
    if not spreads:
        return None
    tops = [max(spread, key=lambda layer: spread[layer]) for spread in spreads]
    shares = [max(spread.values()) for spread in spreads]
    first = set(tops) == {0} and min(shares) > 0.5
    return finding(
        "against" if first else "note", "Where they sit", "agreement", "where",
        layers=sorted({str(layer) for layer in tops}, key=int), first=first,
        low=min(shares), high=max(shares), n_layers=view.grid[0],
    )  # fmt: skip


def _between(view: View) -> Finding | None:
    tasks, frame = view.inputs.tasks, rows(view)
    found = {
        (a.title, b.title): number
        for i, a in enumerate(tasks)
        for b in tasks[i + 1 :]
        if (number := pair(frame, "datasets", (a.id, b.id), "overlap")).has_value
    }
    if not found:
        return None
    top = max(found, key=lambda pair: found[pair].value or 0.0)
    lowest = min(values_of([overlap(view, task) for task in tasks]), default=None)
    alike = lowest is not None and (found[top].value or 0.0) >= lowest
    return finding(
        "against" if alike else "supports", "Between data sets", "agreement", "between",
        span=span_of(found.values()), top=top, lowest=lowest if alike else None,
    )  # fmt: skip


def _pairs(view: View) -> Finding | None:
    if not view.inputs.spec["pairs"]:
        return None
    verdict = pair_verdict(view)
    tones: dict[str | None, Tone] = {
        "words": "against", "capability": "supports", "undecided": "mixed", None: "note",
    }  # fmt: skip
    about = "Words or capability"
    return finding(tones[verdict.favours], about, "agreement", "pairs", verdict=verdict)


def _missing(view: View) -> Finding | None:
    """Data sets without agreement: for want of data, or because a half located no neuron."""
    numbers = {task.title: overlap(view, task) for task in view.inputs.tasks}
    without = {title: number.reason for title, number in numbers.items() if not number.has_value}
    told = [f"{title} ({reason})" for title, reason in without.items() if reason != EMPTY]
    told += [f"{title} (no neuron located in a half)" for title, r in without.items() if r == EMPTY]
    return finding("note", "Without a value", "agreement", "missing", told=told) if told else None

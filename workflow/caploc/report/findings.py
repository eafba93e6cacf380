"""What the numbers say, in plain words; every sentence is chosen by a comparison of two numbers.

Nothing here is written for one result: a run whose references agree as well as its data sets says
so as plainly as a run that supports the paper.
"""

from dataclasses import dataclass
from statistics import median
from typing import Literal

from caploc.report.comparisons import Standing, pair_verdict, standing
from caploc.report.formatting import Number, count, joined, percent, percent_span, share_span
from caploc.report.inputs import Task
from caploc.report.views import REFERENCES, View

__all__ = ["USEFUL", "Finding", "Tile", "findings", "tiles"]

# Below, too few right answers to attribute; above, too little room to tell data sets apart.
USEFUL = (0.20, 0.95)
# Mean integration error above this share of the effect puts the scores in doubt.
_GOOD_GAP = 0.05

Tone = Literal["supports", "against", "mixed", "caution", "note"]

_WHAT = {
    "mixture": "a random mixture of all data sets",
    "neutral": "neutral text, which asks for no capability,",
    "shuffled": "the same questions with the answers exchanged at random",
}
_BRIEF = {"mixture": "a mixture", "neutral": "neutral text", "shuffled": "shuffled answers"}
_MEANING = {
    "mixture": (
        "the located neurons go beyond what any collection of these questions would give",
        "agreement this high does not show that the neurons belong to one capability",
    ),
    "neutral": (
        "the located neurons are not only those that any text would mark",
        "plain text finds its own neurons again as reliably, so agreement alone says little",
    ),
    "shuffled": (
        "the right answer matters to which neurons are found again",
        "the neurons may follow the questions and the words of the answers, not the solution",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement: what it is about, what it says, and whether it supports the claim."""

    tone: Tone
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One decisive number: the number, what it is, and how to judge it."""

    number: str
    label: str
    note: str


def tiles(view: View) -> list[Tile]:
    """The numbers to read if there is time for nothing else."""
    return [_share_tile(view), _overlap_tile(view), _reference_tile(view), _gap_tile(view)]


def findings(view: View) -> list[Finding]:
    """All statements about one model and method, the central one first."""
    found = [_agreement(view)]
    found += [_against(view, arm) for arm in REFERENCES]
    found += [_where(view), _between(view), _pairs(view), _base(view), _integration(view)]
    found += [_missing(view)]
    return [finding for finding in found if finding is not None]


def _values(numbers: list[Number]) -> list[float]:
    return [number.value for number in numbers if number.value is not None]


def _span(numbers: list[Number]) -> str:
    values = _values(numbers)
    return f"{percent_span(min(values), max(values))} %" if values else "–"


def _names(tasks: tuple[Task, ...] | list[Task]) -> str:
    return joined([task.title for task in tasks])


def _share_tile(view: View) -> Tile:
    values = _values([view.located_share(task) for task in view.inputs.tasks])
    n_layers, n_neurons = view.grid
    return Tile(
        f"{share_span(min(values), max(values))} %" if values else "–",
        "of the neurons were located",
        f"per data set, of {n_layers * n_neurons:,} neurons at sigma {view.sigma:g}",
    )


def _overlap_tile(view: View) -> Tile:
    numbers = [view.overlap(task) for task in view.inputs.tasks]
    chance = _span([view.chance(task) for task in view.inputs.tasks])
    return Tile(
        _span(numbers),
        "split-half overlap: how much of the located set other questions of the same kind return",
        f"lowest and highest data set; chance {chance}",
    )


def _reference_tile(view: View) -> Tile:
    passed, compared = set(view.inputs.tasks), set()
    for arm in REFERENCES:
        found = _standing(view, arm)
        passed -= {*found.within, *found.below}
        compared |= {*found.above, *found.within, *found.below}
    return Tile(
        f"{len(passed & compared)} of {len(compared)}" if compared else "–",
        "data sets agree with themselves better than every reference",
        "mixture of all data sets, neutral text, shuffled answers; ranges do not touch",
    )


def _gap_tile(view: View) -> Tile:
    gaps = list(view.gaps().values())
    return Tile(
        f"{percent(median(gaps))} %" if gaps else "–",
        "typical error of the scores",
        f"integration error relative to the effect: median; largest {percent(max(gaps))} %"
        if gaps
        else "integration error: not computed",
    )


def _standing(view: View, arm: str) -> Standing:
    return standing(view, lambda task: view.reference(arm, task))


def _agreement(view: View) -> Finding | None:
    found = standing(view, view.chance)
    if not found.total:
        return None
    numbers = [view.overlap(task) for task in view.inputs.tasks]
    text = (
        f"Two sets of neurons, located with two disjoint halves of the same questions, share "
        f"{_span(numbers)} (lowest and highest data set). "
    )
    if len(found.above) == found.total:
        return Finding("supports", "Agreement", text + "Every data set is above chance.")
    text += f"Above chance: {len(found.above)} of {found.total}; "
    text += f"not above chance: {_names(found.within + found.below)}."
    return Finding("mixed" if found.above else "against", "Agreement", text)


def _against(view: View, arm: str) -> Finding | None:
    """How the data sets stand against one reference."""
    found = _standing(view, arm)
    if not found.total:
        return None
    numbers = [view.reference(arm, task) for task in view.inputs.tasks]
    text = f"Located the same way, {_WHAT[arm]} agrees with itself to {_span(numbers)}. "
    if arm == "shuffled":
        text = f"Located the same way, {_WHAT[arm]} agree with themselves to {_span(numbers)}. "
    good, bad = _MEANING[arm]
    about = f"Against {_BRIEF[arm]}"
    if len(found.above) == found.total:
        text += f"All {count(found.total, 'data set')} agree better: {good}."
        return Finding("supports", about, text)
    parts = (("better", found.above), ("not told apart", found.within), ("worse", found.below))
    told = "; ".join(
        f"{word}: {_names(tasks) if len(tasks) < found.total else 'all'}"
        for word, tasks in parts
        if tasks
    )
    if not found.above:
        text += f"None of {count(found.total, 'data set')} agrees better ({told}): {bad}."
        return Finding("against", about, text)
    text += f"{told[0].upper()}{told[1:]}. Where it is not better, {bad}."
    return Finding("mixed", about, text)


def _where(view: View) -> Finding | None:
    shares = {task: view.per_layer(task) for task in view.inputs.tasks}
    tops = {task: max(s, key=lambda layer: s[layer]) for task, s in shares.items() if s}
    if not tops:
        return None
    layers = sorted(set(tops.values()))
    last = view.grid[0] - 1
    low, high = (f(shares[task][layer] for task, layer in tops.items()) for f in (min, max))
    text = f"The layer with most located neurons is {joined([str(n) for n in layers], 'or')}"
    text += (
        f"{', depending on the data set' if len(layers) > 1 else ''} (of 0 to {last}; 0 is next "
    )
    text += f"to the input). It holds {percent_span(low, high)} % of them; an even spread would "
    text += f"put {percent(1 / (last + 1))} % into each layer."
    if layers == [0] and low > 0.5:
        text += (
            " So close to the input, a neuron works mostly on single words and their neighbours: "
            "these may detect words rather than carry a capability."
        )
        return Finding("against", "Where they sit", text)
    return Finding("note", "Where they sit", text)


def _between(view: View) -> Finding | None:
    tasks = view.inputs.tasks
    found = {
        (a, b): number
        for i, a in enumerate(tasks)
        for b in tasks[i + 1 :]
        if (number := view.headline.pair("datasets", a.id, b.id, "overlap")).has_value
    }
    if not found:
        return None
    values = {pair: number.value or 0.0 for pair, number in found.items()}
    top = max(values, key=lambda pair: values[pair])
    own = _values([view.overlap(task) for task in tasks])
    text = (
        f"Located sets of different data sets share {_span(list(found.values()))}; the closest are "
        f"{top[0].title} and {top[1].title}. "
    )
    if own and values[top] >= min(own):
        text += (
            f"That is as much as the halves of a single data set share ({percent(min(own))} % in "
            "the lowest case), so these sets are not specific to one data set."
        )
        return Finding("against", "Between data sets", text)
    text += "No two data sets share as much as the halves of one data set do."
    return Finding("supports", "Between data sets", text)


def _pairs(view: View) -> Finding | None:
    if not view.inputs.pairs:
        return None
    verdict = pair_verdict(view)
    about = "Words or capability"
    if verdict.favours is None:
        return Finding("note", about, "Not computed: one of the two kinds of pairs has no overlap.")
    words = _span([number for _, number in verdict.words])
    capability = _span([number for _, number in verdict.capability])
    text = (
        f"Data sets with the same words but different capabilities share {words}; data sets with "
        f"the same capability but no common word share {capability}. "
    )
    if verdict.favours == "words":
        return Finding("against", about, text + "The located neurons follow the words.")
    if verdict.favours == "capability":
        return Finding("supports", about, text + "The located neurons follow the capability.")
    return Finding("mixed", about, f"{text}Undecided: {verdict.reason}.")


def _base(view: View) -> Finding | None:
    ids = {task.id: task for task in view.inputs.tasks}
    outside = [
        f"{ids[row['dataset']].title} ({percent(row['value'])} %)"
        for row in view.inputs.tables["base"]
        if row["model"] == view.model and row["dataset"] in ids and row["value"] is not None
        if row["metric"] == "exact_match" and not USEFUL[0] <= row["value"] <= USEFUL[1]
    ]
    if not outside:
        return None
    text = (
        f"The model answers {joined(outside)} outside {percent_span(*USEFUL, 0)} % "
        "correctly: too rarely or too surely to say much about a capability there."
    )
    return Finding("caution", "The model itself", text)


def _integration(view: View) -> Finding | None:
    gaps = view.gaps()
    if not gaps:
        return None
    worst = max(gaps, key=lambda key: gaps[key])
    middle = median(gaps.values())
    text = (
        f"Scores add up to the effect they explain with a mean error of {percent(middle)} % of it "
        f"(median over data sets and layers), at most {percent(gaps[worst])} % "
        f"({view.inputs.title(worst[0])}, layer {worst[1]}). "
    )
    if gaps[worst] <= _GOOD_GAP:
        return Finding("note", "Precision", text + "The scores are exact enough to rank.")
    poor = sum(gap > _GOOD_GAP for gap in gaps.values())
    text += (
        f"In {poor} of {len(gaps)} cases it is above {percent(_GOOD_GAP, 0)} %: read scores there "
        "with care."
    )
    return Finding("caution", "Precision", text)


def _missing(view: View) -> Finding | None:
    parts = [f"{task.title} ({reason})" for task, reason in view.not_computed()]
    parts += [f"{task.title} (no neuron located in a half)" for task in view.empty()]
    if not parts:
        return None
    return Finding("note", "Without a value", f"{joined(parts)}. These are not counted above.")

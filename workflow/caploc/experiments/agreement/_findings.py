"""What agreement says, in plain words; every sentence is chosen by a comparison of two numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from caploc.experiments.agreement._pairs import pair_verdict
from caploc.experiments.agreement._places import per_layer
from caploc.experiments.agreement._report_numbers import (
    EMPTY,
    REFERENCES,
    Arm,
    chance,
    located_share,
    overlap,
    pair,
    reference,
    rows,
)
from caploc.report.findings import Finding, Tile, span_of, stands, values_of
from caploc.report.formatting import Number, count, joined, percent, percent_span, share_span
from caploc.report.inputs import Task
from caploc.report.views import View

__all__ = ["findings", "tiles"]

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


def tiles(view: View) -> list[Tile]:
    """The numbers to read if there is time for nothing else."""
    return [_share_tile(view), _overlap_tile(view)]


def findings(view: View) -> list[Finding]:
    """All statements about agreement, the central one first."""
    found = [_agreement(view), *(_against(view, arm) for arm in REFERENCES)]
    found += [_where(view), _between(view), _pairs(view), _missing(view)]
    return [finding for finding in found if finding is not None]


@dataclass(frozen=True, slots=True)
class _Standing:
    """Data sets by where they stand against their reference; without values they are left out."""

    above: tuple[Task, ...]
    within: tuple[Task, ...]
    below: tuple[Task, ...]

    @property
    def total(self) -> int:
        """Number of data sets compared."""
        return len(self.above) + len(self.within) + len(self.below)


def _standing(view: View, beside: Callable[[Task], Number]) -> _Standing:
    """Compare the agreement of every data set with its reference."""
    orders = {task: stands(overlap(view, task), beside(task)) for task in view.inputs.tasks}
    return _Standing(
        *(tuple(t for t, o in orders.items() if o == k) for k in ("above", "within", "below"))
    )


def _against_arm(view: View, arm: Arm) -> _Standing:
    return _standing(view, lambda task: reference(view, arm, task))


def _names(tasks: Sequence[Task]) -> str:
    return joined([task.title for task in tasks])


def _share_tile(view: View) -> Tile:
    shares = values_of(located_share(view, task) for task in view.inputs.tasks)
    n_layers, n_neurons = view.grid
    return Tile(
        f"{share_span(min(shares), max(shares))} %" if shares else "–",
        "of the neurons were located",
        f"per data set, of {n_layers * n_neurons:,} neurons at sigma {view.sigma:g}",
    )


def _overlap_tile(view: View) -> Tile:
    numbers = [overlap(view, task) for task in view.inputs.tasks]
    by_chance = span_of([chance(view, task) for task in view.inputs.tasks])
    return Tile(
        span_of(numbers),
        "split-half overlap: how much of the located set other questions of the same kind return",
        f"lowest and highest data set; chance {by_chance}",
    )


def _agreement(view: View) -> Finding | None:
    found = _standing(view, lambda task: chance(view, task))
    if not found.total:
        return None
    numbers = [overlap(view, task) for task in view.inputs.tasks]
    text = (
        f"Two sets of neurons, located with two disjoint halves of the same questions, share "
        f"{span_of(numbers)} (lowest and highest data set). "
    )
    if len(found.above) == found.total:
        return Finding("supports", "Agreement", text + "Every data set is above chance.")
    text += f"Above chance: {len(found.above)} of {found.total}; "
    text += f"not above chance: {_names(found.within + found.below)}."
    return Finding("mixed" if found.above else "against", "Agreement", text)


def _against(view: View, arm: Arm) -> Finding | None:
    """How the data sets stand against one reference."""
    found = _against_arm(view, arm)
    if not found.total:
        return None
    numbers = [reference(view, arm, task) for task in view.inputs.tasks]
    text = f"Located the same way, {_WHAT[arm]} agrees with itself to {span_of(numbers)}. "
    if arm == "shuffled":
        text = f"Located the same way, {_WHAT[arm]} agree with themselves to {span_of(numbers)}. "
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
    shares = {task: per_layer(view, task) for task in view.inputs.tasks}
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
    tasks, frame = view.inputs.tasks, rows(view)
    found = {
        (a, b): number
        for i, a in enumerate(tasks)
        for b in tasks[i + 1 :]
        if (number := pair(frame, "datasets", (a.id, b.id), "overlap")).has_value
    }
    if not found:
        return None
    values = {pair: number.value or 0.0 for pair, number in found.items()}
    top = max(values, key=lambda pair: values[pair])
    own = values_of([overlap(view, task) for task in tasks])
    text = (
        f"Located sets of different data sets share {span_of(found.values())}; the closest are "
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
    words = span_of(verdict.words)
    capability = span_of(verdict.capability)
    text = (
        f"Data sets with the same words but different capabilities share {words}; data sets with "
        f"the same capability but no common word share {capability}. "
    )
    if verdict.favours == "words":
        return Finding("against", about, text + "The located neurons follow the words.")
    if verdict.favours == "capability":
        return Finding("supports", about, text + "The located neurons follow the capability.")
    return Finding("mixed", about, f"{text}Undecided: {verdict.reason}.")


def _missing(view: View) -> Finding | None:
    """Data sets without agreement: for want of data, or because a half located no neuron."""
    reasons = [(task, overlap(view, task)) for task in view.inputs.tasks]
    without = [(task, number.reason) for task, number in reasons if not number.has_value]
    parts = [f"{task.title} ({reason})" for task, reason in without if reason != EMPTY]
    parts += [
        f"{task.title} (no neuron located in a half)" for task, reason in without if reason == EMPTY
    ]
    if not parts:
        return None
    return Finding("note", "Without a value", f"{joined(parts)}. These are not counted above.")

"""What the experiments of a run say, in plain words: silencing, training, single facts, texts.

As in `findings`, every sentence is chosen by a comparison of numbers that stand in the tables, and
an experiment that the run does not have says nothing.
"""

from collections.abc import Sequence

from caploc.experiments.decoupling.report import decoupling_views
from caploc.experiments.enhancement.report import enhancement
from caploc.experiments.erasure.report import erasure
from caploc.experiments.fidelity.report import fidelity_views
from caploc.experiments.reliability.report import reliability_views
from caploc.report.crossing import crossing
from caploc.report.findings import Finding, Tile, Tone
from caploc.report.formatting import Number, joined, nat, points
from caploc.report.views import View

__all__ = ["experiment_findings", "silencing_tile"]

_SIGNIFICANT = 0.05


def silencing_tile(view: View) -> Tile | None:
    """Right answers that silencing costs on average; None if nothing was silenced."""
    found = _average(view)
    if found is None:
        return None
    located, random = found
    beside = f"matched random neurons: {_span(random)}" if random.has_value else "no matched sets"
    return Tile(
        f"{points(located.value or 0.0)} points",
        "right answers when a data set loses its located neurons, on average",
        f"95 % interval {points(located.bottom)} to {points(located.top)}; {beside}",
    )


def experiment_findings(view: View) -> list[Finding]:
    """All statements about one model and method, in the order of the sections."""
    found = [_silencing(view), _specific(view), _training(view)]
    if view.method == view.inputs.spec["methods"][0]:  # facts know no method
        found += [_facts(view), _acting(view), _texts(view)]
    return [finding for finding in found if finding is not None]


def _average(view: View) -> tuple[Number, Number] | None:
    """Change of the average accuracy at the headline mask: located and matched random."""
    found = erasure(view)
    if not found:
        return None
    index = [mask["id"] for mask in found[0]["masks"]].index(view.mask)
    cell = found[0]["accuracy"][-1]["masks"][index]
    if not cell["change"].has_value:
        return None
    return cell["change"], cell["random_change"]


def _span(number: Number) -> str:
    text = points(number.value or 0.0)
    if number.low is None or number.high is None:
        return text
    return f"{text} ({points(number.low)} to {points(number.high)})"


def _silencing(view: View) -> Finding | None:
    found = erasure(view)
    if not found:
        return None
    tested = [row for row in found[0]["primary"] if row["p_holm"] is not None]
    worse = [row for row in tested if row["p_holm"] <= _SIGNIFICANT and row["excess"].value > 0]
    text = ""
    average = _average(view)
    if average is not None:
        text = "Losing its located neurons changes the right answers of a data set by "
        text += f"{_span(average[0])} percentage points on average"
        if average[1].has_value:
            text += f", losing matched random neurons by {_span(average[1])}"
        text += ". "
    if not tested:
        return Finding("note", "Silencing them", text + "The primary test was not computed.")
    text += (
        f"The gold answer loses more log-probability than with matched neurons in {len(worse)} of "
        f"{len(tested)} data sets (p at most {_SIGNIFICANT:g} after Holm's correction"
    )
    text += f": {joined([row['title'] for row in worse])}). " if worse else "). "
    if not worse:
        return Finding("against", "Silencing them", text.strip())
    unmatched = [row["title"] for row in worse if not row["matched"]]
    if unmatched:
        whole = "In each of them" if len(unmatched) == len(worse) else f"In {joined(unmatched)}"
        text += (
            f"{whole} the located neurons are larger than any others of their layers, so there is "
            "no real match and part of the effect may be size."
        )
    fair = len(worse) == len(tested) and not unmatched
    return Finding("supports" if fair else "mixed", "Silencing them", text.strip())


def _specific(view: View) -> Finding | None:
    """Do neurons of one data set matter more to data sets of the same capability?"""
    found = crossing(view)
    rows = [] if found is None else found["contrasts"]
    row = next((r for r in rows if r["effect"] == "logprob"), None)
    if row is None or not row["number"].has_value:
        return None
    number = row["number"]
    text = (
        "Silencing the neurons of one data set costs other data sets of the same capability "
        f"{nat(number.value)} nat per answer token more than those of other capabilities "
        f"({nat(number.bottom)} to {nat(number.top)}"
    )
    text += f", p = {row['p']:.2g} against random sets). " if row["p"] is not None else "). "
    certain = row["p"] is None or row["p"] <= _SIGNIFICANT
    if number.bottom > 0 and certain:
        return Finding("supports", "One capability or many", text + "The damage is selective.")
    if number.top < 0:
        return Finding("against", "One capability or many", text + "The damage goes elsewhere.")
    text += "The damage is not told apart from damage to anything."
    return Finding("mixed", "One capability or many", text)


def _training(view: View) -> Finding | None:
    """Located neurons beside random ones of the same layers, by the headline mask if it trained."""
    parts = enhancement(view)
    parts = [part for part in parts if part["sigma"] == view.sigma] or parts
    for part in parts:
        for found in part["findings"]:
            if found["about"] == "Beside random neurons of the same layers":
                text = f"{found['about']} (sigma {part['sigma']:g}). {found['text']}"
                tone: Tone = {"supports": "supports", "against": "against"}.get(  # type: ignore[assignment]
                    found["tone"], "mixed"
                )
                return Finding(tone, "Training them", text)
    return None


def _facts(view: View) -> Finding | None:
    told: list[str] = []
    others: list[str] = []
    for part in fidelity_views(view.inputs):
        if part.model != view.model:
            continue
        rows = (
            part.known if any(row.difference.has_value for row in part.known) else part.everything
        )
        for locator in dict.fromkeys(row.locator for row in rows):
            number = next(row.difference for row in rows if row.locator == locator)
            if number.has_value:
                (told if number.bottom > 0 else others).append(locator)
    text = (
        "Asked for in other words, a fact should lead a locator to the same place, and another "
        "fact of the same relation should not. "
    )
    return _counted("Single facts", text, "tells facts apart", "tell facts apart", told, others)


def _acting(view: View) -> Finding | None:
    told: list[str] = []
    others: list[str] = []
    for part in reliability_views(view.inputs):
        if part.model == view.model:
            for row in part.rows:
                number = row.numbers[2]  # ipp
                if row.primary and number.has_value:
                    (told if number.bottom > 0 else others).append(row.locator)
    text = "Acting on what a locator found should do more than acting on the best random choice. "
    return _counted("Acting on facts", text, "does more", "do more", told, others)


def _counted(
    about: str, text: str, one: str, several: str, told: Sequence[str], others: Sequence[str]
) -> Finding | None:
    """Which locators pass a test, and which do not."""
    if not told and not others:
        return None
    if told:
        text += f"{joined(told)} {one if len(told) == 1 else several} here"
        text += f"; {joined(others)} {'does' if len(others) == 1 else 'do'} not." if others else "."
    else:
        text += f"Here no locator does ({joined(others)})."
    tone: Tone = "against" if not told else "mixed" if others else "supports"
    return Finding(tone, about, text)


def _texts(view: View) -> Finding | None:
    """Prompts that share the task against prompts that share the text."""
    texts = []
    kinds = set()
    for part in decoupling_views(view.inputs):
        if part.model != view.model:
            continue
        task, main = part.effects[0][1], part.effects[1][1]
        if not (task.has_value and main.has_value):
            continue
        kind = "not told apart"
        if task.bottom > main.top:
            kind = "the task"
        elif main.bottom > task.top:
            kind = "the text"
        kinds.add(kind)
        texts.append(
            f"{part.pairs}: {kind} (same task {_span(task)}, same text {_span(main)} points)"
        )
    if not texts:
        return None
    text = (
        f"What decides more which neurons a prompt locates, in paired prompts: {'; '.join(texts)}."
    )
    if kinds == {"the task"}:
        return Finding("supports", "One text, two tasks", text)
    return Finding("against" if kinds == {"the text"} else "mixed", "One text, two tasks", text)

"""What the experiments of a run say, in plain words: silencing, training, single facts, texts.

As in `findings`, every sentence is chosen by a comparison of numbers that stand in the tables, and
an experiment that the run does not have says nothing.
"""

from caploc.experiments.decoupling import report as decoupling
from caploc.experiments.enhancement.report import enhancement
from caploc.experiments.erasure.report import erasure
from caploc.experiments.fidelity import report as fidelity
from caploc.experiments.reliability import report as reliability
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
        found += [
            *fidelity.findings(view), *reliability.findings(view), *decoupling.findings(view)
        ]  # fmt: skip
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

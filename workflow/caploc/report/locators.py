"""Locators of facts as the page shows them: each says itself how it is called."""

from collections.abc import Iterable, Mapping

import polars as pl

from caploc import plugins
from caploc.report.findings import Finding, tone_of
from caploc.report.formatting import Number
from caploc.report.inputs import Inputs
from caploc.report.templates import finding

__all__ = ["paper", "tested", "titles"]


def titles(inputs: Inputs, frame: pl.DataFrame) -> dict[str, str]:
    """Titles of the locators of a table by id: those of the settings in their order, then others.

    A locator declares its `TITLE`; one that does not goes by its id.
    """
    settings = inputs.spec["config"].get("experiments", {}).get("fidelity", {})
    found = frame["locator"].unique(maintain_order=True).to_list()
    asked = [name for name in settings.get("locators", ()) if name in found]
    return {
        name: plugins.constants("locators", name).get("TITLE", name)
        for name in dict.fromkeys([*asked, *found])
        if name
    }


def paper(names: Mapping[str, str], experiment: str) -> dict[str, float]:
    """What the paper prints for these locators, by their titles, where it prints something."""
    printed = {name: plugins.constants("locators", name).get("PAPER", {}) for name in names}
    return {names[name]: told[experiment] for name, told in printed.items() if experiment in told}


def tested(about: str, part: str, differences: Iterable[tuple[str, Number]]) -> list[Finding]:
    """Which locators pass a test and which do not; empty without a number.

    Args:
        about: what the finding is about.
        part: the experiment, whose macro ``tested`` says it.
        differences: title and number of locators; above 0 with its whole interval passes.
    """
    sides = [(name, number.side) for name, number in differences if number.has_value]
    passed = [name for name, side in sides if side == "above"]
    failed = [name for name, side in sides if side != "above"]
    if not sides:
        return []
    tone = tone_of(len(passed), len(sides))
    return [finding(tone, about, part, "tested", passed=passed, failed=failed)]

"""Locators of facts as the page shows them: each says itself how it is called."""

from collections.abc import Iterable, Mapping

import polars as pl

from caploc import plugins
from caploc.report.findings import Finding
from caploc.report.formatting import Number, joined
from caploc.report.inputs import Inputs

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


def tested(
    about: str, text: str, verbs: tuple[str, str], differences: Iterable[tuple[str, Number]]
) -> list[Finding]:
    """Which locators pass a test and which do not; empty without a number.

    Args:
        about: what the finding is about.
        text: what the test is.
        verbs: what a locator does that passes, of one and of several.
        differences: title and number of locators; above 0 with its whole interval passes.
    """
    passed: list[str] = []
    failed: list[str] = []
    for name, number in differences:
        if number.has_value:
            (passed if number.bottom > 0 else failed).append(name)
    if not passed and not failed:
        return []
    if not passed:
        return [Finding("against", about, f"{text} Here no locator does ({joined(failed)}).")]
    text += f" {joined(passed)} {verbs[0] if len(passed) == 1 else verbs[1]} here"
    text += f"; {joined(failed)} {'does' if len(failed) == 1 else 'do'} not." if failed else "."
    return [Finding("mixed" if failed else "supports", about, text)]

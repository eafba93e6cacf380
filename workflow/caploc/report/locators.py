"""Locators of facts as the page shows them: each says itself how it is called."""

from collections.abc import Iterable

import polars as pl

from caploc import plugins
from caploc.report.inputs import Inputs

__all__ = ["paper", "titles"]


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


def paper(names: Iterable[str], experiment: str) -> dict[str, float]:
    """What the paper prints for these locators, by id, where it prints something."""
    printed = {name: plugins.constants("locators", name).get("PAPER", {}) for name in names}
    return {name: told[experiment] for name, told in printed.items() if experiment in told}

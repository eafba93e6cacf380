"""One model with one method: what belongs together on the page."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from caploc.report.inputs import Inputs
from caploc.report.numbers import matching

__all__ = ["View", "of_samples", "views"]


@dataclass(frozen=True, slots=True)
class View:
    """One model with one method.

    Attributes:
        inputs: the run.
        model: id.
        method: id.
    """

    inputs: Inputs
    model: str
    method: str

    def rows(self, table: str, **where: Any) -> pl.DataFrame:
        """Rows of a table that are about this model and method, and have these values."""
        return matching(self.inputs.tables[table], model=self.model, method=self.method, **where)

    @property
    def mask(self) -> str:
        """Id of the headline mask."""
        return str(self.inputs.spec["headline_mask"])

    @property
    def slug(self) -> str:
        """The view's part of names and ids on the page."""
        index = self.inputs.spec["models"].index(self.model)
        return f"v{index}-{self.inputs.spec['methods'].index(self.method)}"

    @property
    def sigma(self) -> float:
        """Threshold of the headline mask in standard deviations."""
        return next(m["sigma"] for m in self.inputs.spec["masks"] if m["id"] == self.mask)

    @property
    def grid(self) -> tuple[int, int]:
        """Number of layers, and of neurons in a layer."""
        manifest = self.inputs.manifests[self.model]
        return manifest["n_layers"], manifest["n_neurons"]


def views(inputs: Inputs) -> list[View]:
    """Every model with every method of the run."""
    return [
        View(inputs, model, method)
        for model in inputs.spec["models"]
        for method in inputs.spec["methods"]
    ]


def of_samples(inputs: Inputs, table: str, view: View | None = None) -> list[pl.DataFrame]:
    """Rows of a table that knows no method, by model and data set.

    Args:
        inputs: the run.
        table: name.
        view: those of its model alone, and none but beside the first method: they would be told of
            twice.
    """
    frame = inputs.tables[table]
    if view is not None:
        first = view.method == inputs.spec["methods"][0]
        frame = matching(frame, model=view.model) if first else frame.clear()
    if frame.is_empty():
        return []
    return frame.partition_by("model", "dataset", maintain_order=True)

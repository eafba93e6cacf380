"""One model with one method: what belongs together on the page."""

from dataclasses import dataclass

from caploc.report.inputs import Inputs

__all__ = ["View", "views"]


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

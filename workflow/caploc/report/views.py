"""One model with one method: the rows of every table that belong together on the page."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from caploc.report.cells import EMPTY, Cells
from caploc.report.formatting import Number
from caploc.report.inputs import Inputs, Row, Task

__all__ = ["REFERENCES", "View", "views"]

# Arms of the table `agreement` that a data set is compared with, in the order of every figure.
REFERENCES = ("mixture", "neutral", "shuffled")


@dataclass(frozen=True, slots=True)
class View:
    """One model with one method.

    Attributes:
        inputs: the run.
        model: id.
        method: id.
        cells: the table `agreement`, by mask id.
        neurons: located neurons by (mask id, data set): (layer, neuron) -> score, z, shared_by.
    """

    inputs: Inputs
    model: str
    method: str
    cells: Mapping[str, Cells]
    neurons: Mapping[tuple[str, str], Mapping[tuple[int, int], Row]]

    @property
    def headline(self) -> Cells:
        """Numbers of the headline mask."""
        return self.cells[self.mask]

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

    def overlap(self, task: Task, mask: str | None = None, metric: str = "overlap") -> Number:
        """Agreement of two halves of a data set."""
        return self.cells[mask or self.mask].halves("located", task.id, metric)

    def dataset(self, arm: str, task: Task) -> str:
        """Name in the table of the reference that `task` is compared with."""
        if arm == "shuffled":
            return f"{task.id}.shuffled"
        if arm == "neutral":
            return self.inputs.neutral.id if self.inputs.neutral else "neutral"
        return task.id if arm == "located" else arm

    def reference(
        self, arm: str, task: Task, mask: str | None = None, metric: str = "overlap"
    ) -> Number:
        """The same number for a reference, with as many samples where it has that size."""
        cells = self.cells[mask or self.mask]
        dataset = self.dataset(arm, task)
        equal = cells.halves(arm, dataset, metric, cells.n_half("located", task.id))
        return equal if equal.has_value else cells.halves(arm, dataset, metric)

    def chance(self, task: Task) -> Number:
        """Larger of the two chance overlaps: the stricter one to beat."""
        values = [
            self.headline.halves("located", task.id, f"chance_overlap_{kind}")
            for kind in ("uniform", "layer")
        ]
        known = [number for number in values if number.value is not None]
        return max(known, key=lambda number: number.value or 0.0) if known else values[0]

    def located_share(self, task: Task, mask: str | None = None) -> Number:
        """Share of all neurons that the whole sample of a data set locates."""
        return self.overlap(task, mask, "located_share_whole")

    def located(self, task: Task) -> Mapping[tuple[int, int], Row]:
        """Located neurons of the headline mask."""
        return self.neurons.get((self.mask, task.id), {})

    def why_no_neurons(self, task: Task) -> str:
        """What to say where a data set has no located neuron."""
        if self.located_share(task).value == 0:
            return f"{EMPTY}: no neuron passes the threshold"
        return self.overlap(task).reason

    def per_layer(self, task: Task) -> dict[int, float]:
        """Fraction of the located neurons in each layer that has any."""
        counts = Counter(layer for layer, _ in self.located(task))
        return {layer: counts[layer] / counts.total() for layer in sorted(counts)}

    def completeness(self, metric: str) -> dict[tuple[str, int], float]:
        """(data set, layer) -> value of the table `completeness`; shuffled references left out."""
        return {
            (row["dataset"], row["layer"]): row["value"]
            for row in self.inputs.tables["completeness"]
            if (row["model"], row["method"], row["metric"]) == (self.model, self.method, metric)
            and row["value"] is not None
            and not row["dataset"].endswith(".shuffled")
        }

    def gaps(self) -> dict[tuple[str, int], float]:
        """(data set, layer) -> mean integration error as a fraction of the mean effect.

        The endpoint term of the rule, which is known and no error of the points, is not in it.
        """
        effects = self.completeness("effect")
        return {
            key: gap / effects[key]
            for key, gap in self.completeness("rest_mean").items()
            if effects.get(key)
        }

    def not_computed(self) -> list[tuple[Task, str]]:
        """Data sets without agreement for want of data, with the reason."""
        numbers = [(task, self.overlap(task)) for task in self.inputs.tasks]
        return [(t, n.reason) for t, n in numbers if not n.has_value and n.reason != EMPTY]

    def empty(self) -> list[Task]:
        """Data sets where at least one half locates no neuron at all."""
        return [task for task in self.inputs.tasks if self.overlap(task).reason == EMPTY]


def views(inputs: Inputs) -> list[View]:
    """Every model with every method of the run."""
    tables, spec = inputs.tables, inputs.spec
    result = []
    for model in spec["models"]:
        for method in spec["methods"]:
            cells = {
                mask["id"]: Cells(tables["agreement"], model, method, mask["id"])
                for mask in spec["masks"]
            }
            neurons: dict[tuple[str, str], dict[tuple[int, int], dict[str, Any]]] = {}
            for row in tables["neurons"]:
                if (row["model"], row["method"]) == (model, method):
                    places = neurons.setdefault((row["mask"], row["dataset"]), {})
                    place = places.setdefault((row["layer"], row["neuron"]), {})
                    place |= {"shared_by": row["shared_by"], row["metric"]: row["value"]}
            result.append(View(inputs, model, method, cells, neurons))
    return result

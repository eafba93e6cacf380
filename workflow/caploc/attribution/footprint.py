"""Bytes of the tensors of a batch at their most, beside the weights, before it is computed.

The way of `streams.row_gradients` is followed block by block with the costs of `trial_runs`: rows
grow at every block, the way back keeps what it needs, gradients take its place.
"""

from dataclasses import dataclass

import torch

from caploc.attribution.batching import Batch
from caploc.attribution.trial_runs import BlockCost, TrialRuns

__all__ = ["Footprint"]


@dataclass(frozen=True, slots=True)
class _Pass:
    """Rows that travel together: slots, path points, layers (the first so many), the c = 1 row."""

    slots: int
    points: int
    layers: int
    unchanged: bool
    recompute: bool
    head_rows: int

    def rows(self, layer: int) -> int:
        """Rows of all layers up to this one."""
        return self.slots * (self.unchanged + self.points * min(layer + 1, self.layers))


@dataclass(frozen=True, slots=True)
class Footprint:
    """Predicts the tensor bytes of batches of one model.

    Attributes:
        trials: costs of the model.
        n_points: path points below 1.
        unchanged: whether the rule has the point 1.
        most_intervals: of the rule adaptive; None for a fixed one.
    """

    trials: TrialRuns
    n_points: int
    unchanged: bool
    most_intervals: int | None = None

    @property
    def _size(self) -> int:
        return self.trials.lm.dtype.itemsize

    @property
    def _wide(self) -> int:
        return torch.promote_types(self.trials.lm.dtype, torch.float32).itemsize

    @property
    def _width(self) -> int:
        return self.trials.lm.head.weight.shape[1]

    @property
    def _slope_width(self) -> int:
        """Numbers of a gradient: of the residual, or of the neurons."""
        return self._width if self.trials.linear else self.trials.lm.n_neurons

    def of(self, batch: Batch, sizes: list[tuple[int, int]]) -> int:
        """Bytes of a batch.

        Args:
            batch: what travels together.
            sizes: (number of scored answer tokens, length in tokens) of all samples.
        """
        slots, length = self._slots(batch, sizes)
        held, reading, scores = self._standing(batch, sizes)
        return round(held + max(reading, scores + self._work(batch, slots, length)))

    def while_refining(self, batch: Batch, sizes: list[tuple[int, int]]) -> float:
        """Bytes that stand while the rule adaptive refines a batch, arguments as `of`."""
        held, _, scores = self._standing(batch, sizes)
        return held + scores + self._kept(self._slots(batch, sizes)[0])

    def _slots(self, batch: Batch, sizes: list[tuple[int, int]]) -> tuple[int, int]:
        """Slots of a pass and the longest sequence."""
        width = max(sizes[i][0] for i in batch.members)
        length = max(sizes[i][1] for i in batch.members)
        return len(batch.members) * min(batch.n_tokens, width), length

    def _standing(self, batch: Batch, sizes: list[tuple[int, int]]) -> tuple[int, float, int]:
        """Bytes of the recording, most beside it while it is made, and bytes of the results."""
        n, lm = len(batch.members), self.trials.lm
        width = max(sizes[i][0] for i in batch.members)
        slots, length = self._slots(batch, sizes)
        held, reading = self._recording(n, slots if batch.recompute else n * width, length)
        return held, reading, n * lm.n_layers * (lm.n_neurons + 4 * width) * self._wide

    def _recording(self, n: int, slots: int, length: int) -> tuple[int, float]:
        """Bytes that stay of a recording, and most beside them while it is made."""
        lm = self.trials.lm
        cost = self._between(length)
        streams = 2 if not self.trials.linear else 3
        per_slot = lm.n_layers * (streams * self._width + lm.n_neurons) + self._width
        held = n * lm.n_layers * cost.keys + cost.positions + slots * per_slot * self._size
        return round(held), n * cost.recording

    def _work(self, batch: Batch, slots: int, length: int) -> float:
        """Most bytes of the integral and the product behind it; adaptive: some slots to the cap."""
        lm = self.trials.lm
        way = _Pass(
            slots, batch.n_points, min(batch.n_layers, lm.n_layers), self.unchanged,
            batch.recompute, batch.head_rows,
        )  # fmt: skip
        most, left = self._pass(way, length)
        row = slots * self._slope_width * self._wide
        ending = self.trials.end().pull_back(slots) + slots * lm.n_neurons * self._wide
        if self.most_intervals is not None:
            kept, several = self._kept(slots), len(batch.members) > 1
            refining = self.refining(1, 1, length, several, batch) + self.per_refined_slot()
            return kept + max(most, left + 2 * row, refining, ending)
        slopes = lm.n_layers * row
        whole = batch.n_points == self.n_points and batch.n_layers >= lm.n_layers
        # Sums over the points of one layer: a copy of its gradients in the order of the product.
        summing = (batch.n_points + 2) * row
        return max(most + (0 if whole else slopes), left + slopes + summing, slopes + ending)

    def _kept(self, slots: int) -> int:
        """Bytes of the values at the first points and of the slopes, of all layers."""
        row = self._slope_width * self._wide
        return self.trials.lm.n_layers * slots * row * (self.n_points + 2)

    def per_refined_slot(self) -> int:
        """Bytes of the values of a slot that goes to the cap, old and new ones side by side."""
        assert self.most_intervals is not None
        return (2 * self.most_intervals + 4) * self._slope_width * self._wide

    def refining(self, slots: int, points: int, length: int, several: bool, batch: Batch) -> float:
        """Most bytes of a pass for some slots of one layer, each with keys of its own."""
        lm = self.trials.lm
        way = _Pass(slots, points, 1, False, batch.recompute, batch.head_rows)
        keys = slots * lm.n_layers * self._between(length).keys if several else 0
        return self._pass(way, length)[0] + keys

    def _pass(self, way: _Pass, length: int) -> tuple[float, float]:
        """Most bytes of `row_gradients`, and what its result holds."""
        lm, cost, end, linear = (
            self.trials.lm, self._between(length), self.trials.end(), self.trials.linear
        )  # fmt: skip
        row, neurons = self._width * self._size, lm.n_neurons * self._size
        layers, points = range(lm.n_layers), way.slots * way.points
        # Rows that a block sees, and how many of them have neurons of their own there. With linear
        # injection rows of a layer join behind it, else in front of it.
        seen = [
            (way.rows(layer - 1) if layer else 0, 0) if linear
            else (way.rows(layer), way.slots * way.unchanged + points * (layer < way.layers))
            for layer in layers
        ]  # fmt: skip
        kept = [0.0 if way.recompute else cost.held(*each) for each in seen]
        # Positions of the rows, and the mask.
        live = most = 8.0 * way.rows(lm.n_layers) + way.slots * (length + 1) * self._wide
        for layer, (rows, changed) in enumerate(seen):
            enter = 0 if linear else rows * row + changed * neurons
            join = way.rows(layer) * row if linear else 0
            new = 2 * points * self._width * self._wide * (linear and layer < way.layers)
            beside = max(
                2 * enter, enter + cost.forward(rows, changed),
                enter + kept[layer] + rows * row + max(join, new),
            )  # fmt: skip
            most = max(most, live + beside)
            live += enter + kept[layer] + join
        rows = way.rows(lm.n_layers - 1)
        results = rows * (row + self._wide + 8)
        logits = min(rows, way.head_rows)
        held = end.held(rows) + rows * row  # the normed rows among it
        most = max(
            most,
            live + held + results + end.logits(logits) + (rows > logits) * logits * row,
            live + rows * row + results + end.backward(rows),
        )
        live += results + 2 * rows * row
        left = float(rows * (row + self._wide))
        for (rows, changed), stays in zip(reversed(seen), reversed(kept), strict=True):
            live -= stays
            again = rows * row if way.recompute else 0
            most = max(most, live + cost.backward(rows, changed) + again)
            # Without linear injection the rows go, and the gradient of the neurons stays.
            gradient = rows * row if linear else changed * neurons
            live += gradient - (0 if linear else rows * row)
            left += gradient
        return most, left

    def _between(self, length: int) -> BlockCost:
        """Costs at a length, on the straight line between two powers of two."""
        lower = 1 << (max(length, 1).bit_length() - 1)
        if lower == length:
            return self.trials.block(length)
        upper = min(2 * lower, self.trials.lm.context)
        share = (length - lower) / (upper - lower)
        a, b = self.trials.block(lower), self.trials.block(upper)
        return a.towards(b, share)

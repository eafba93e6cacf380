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
        if self.most_intervals is not None:
            work = self._adaptive(batch, slots, length)
        else:
            work = self._fixed(batch, slots, length)
        held, reading, scores = self._standing(batch, sizes)
        return round(held + max(reading, scores + work))

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

    def _fixed(self, batch: Batch, slots: int, length: int) -> float:
        """Most bytes of the integral of a fixed rule and the product behind it."""
        way = _Pass(
            slots, batch.n_points, min(batch.n_layers, self.trials.lm.n_layers), self.unchanged,
            batch.recompute, batch.head_rows,
        )  # fmt: skip
        most, left = self._pass(way, length)
        slopes = self.trials.lm.n_layers * slots * self._slope_width * self._wide
        whole = batch.n_points == self.n_points and batch.n_layers >= self.trials.lm.n_layers
        # Sums over the points of one layer: a copy of its gradients in the order of the product.
        summing = (batch.n_points + 2) * slots * self._slope_width * self._wide
        return max(
            most + (0 if whole else slopes), left + slopes + summing, slopes + self._ending(slots)
        )

    def _ending(self, slots: int) -> float:
        """Most bytes of the product with the projection and the neurons."""
        return self.trials.end().pull_back(slots) + slots * self.trials.lm.n_neurons * self._wide

    def _adaptive(self, batch: Batch, slots: int, length: int) -> float:
        """The same of the rule adaptive, if some slots go to the cap."""
        lm = self.trials.lm
        way = _Pass(
            slots, batch.n_points, min(batch.n_layers, lm.n_layers), True, batch.recompute,
            batch.head_rows,
        )  # fmt: skip
        most, left = self._pass(way, length)
        kept = self._kept(slots)
        row = self._slope_width * self._wide
        several = len(batch.members) > 1
        refining = self.refining(1, 1, length, several, batch) + self.per_refined_slot()
        return max(most + kept, left + kept + 2 * slots * row,
                   kept + max(refining, self._ending(slots)))  # fmt: skip

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
        lm, size = self.trials.lm, self._size
        cost = self._between(length)
        row = self._width * size
        slots_new = way.slots * way.points
        # Positions of the rows, and the mask.
        live = most = 8.0 * way.rows(lm.n_layers) + way.slots * (length + 1) * self._wide
        leaves = [self._leaf(way, layer) for layer in range(lm.n_layers)]
        kept: list[float] = []
        for layer in range(lm.n_layers):
            # With linear injection rows of a layer join behind it, else in front of it.
            rows = way.rows(layer - 1) if self.trials.linear else way.rows(layer)
            changed = 0 if self.trials.linear else leaves[layer]
            if self.trials.linear and not layer:
                live += way.rows(0) * row
                most = max(most, live + slots_new * self._width * (2 * self._wide + size))
                kept.append(0)
                continue
            if not self.trials.linear:
                live += rows * row + changed * lm.n_neurons * size
                most = max(most, live + changed * lm.n_neurons * size + rows * row)
            most = max(most, live + cost.forward(rows, changed))
            kept.append(0 if way.recompute else cost.held(rows, changed))
            live += kept[-1]
            most = max(most, live + rows * row)
            if self.trials.linear:
                joined = way.rows(layer) * row
                new = 2 * slots_new * self._width * self._wide if layer < way.layers else 0
                most = max(most, live + rows * row + max(joined, new))
                live += joined
        return self._end_and_back(way, cost, live, most, kept, leaves)

    def _end_and_back(
        self, way: _Pass, cost: BlockCost, live: float, most: float, kept: list[float],
        leaves: list[int],
    ) -> tuple[float, float]:  # fmt: skip
        lm, end = self.trials.lm, self.trials.end()
        row = self._width * self._size
        rows = way.rows(lm.n_layers - 1)
        held = end.held(rows)
        live += held + rows * row  # the normed rows
        results = rows * (row + self._wide + 8)
        logits = min(rows, way.head_rows)
        most = max(most, live + results + end.logits(logits) + (rows > logits) * logits * row)
        live += results
        most = max(most, live - held + end.backward(rows))
        live += rows * row - held
        left = float(rows * (row + self._wide))
        for layer in reversed(range(lm.n_layers)):
            if self.trials.linear and not layer:
                break
            rows = way.rows(layer - 1) if self.trials.linear else way.rows(layer)
            changed = 0 if self.trials.linear else leaves[layer]
            live -= kept[layer]
            again = rows * row if way.recompute else 0
            most = max(most, live + cost.backward(rows, changed) + again)
            if self.trials.linear:
                live += rows * row
                left += rows * row
            else:
                # The rows themselves go, what stays is the gradient of the neurons.
                live += (changed * lm.n_neurons) * self._size - rows * row
                left += changed * lm.n_neurons * self._size
        return most, left

    def _leaf(self, way: _Pass, layer: int) -> int:
        """Rows with neurons of their own at a layer, generic injection."""
        return way.slots * (way.unchanged + way.points * (layer < way.layers))

    def _between(self, length: int) -> BlockCost:
        """Costs at a length, on the straight line between two powers of two."""
        lower = 1 << (max(length, 1).bit_length() - 1)
        if lower == length:
            return self.trials.block(length)
        upper = min(2 * lower, self.trials.lm.context)
        share = (length - lower) / (upper - lower)
        a, b = self.trials.block(lower), self.trials.block(upper)
        return a.towards(b, share)

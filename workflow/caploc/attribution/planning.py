"""A budget of bytes for a set of samples: what shares a pass, and what happens if it was too much.

The footprint of a batch is predicted, so a budget is met by choice. An allocation that fails all
the same (other processes, a fragmented allocator) halves the bytes of a batch, and the work goes on
with the samples of that batch.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from caploc.attribution.adaptive import Room
from caploc.attribution.batching import Batch, NotEnough, plan_batches
from caploc.attribution.footprint import Footprint
from caploc.attribution.head import logit_rows
from caploc.attribution.memory import budget_text, is_out_of_memory, release
from caploc.records import DataError

__all__ = ["Planner"]

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
# Logits may take this part of a budget; they are made a few rows at a time at no cost.
_LOGITS = 8


@dataclass(slots=True)
class Planner:
    """Divides the work of one call.

    Attributes:
        footprint: of the model and the rule.
        sizes: (number of scored answer tokens, length in tokens) of each sample.
        names: what errors call the samples.
        max_rows: most rows in one pass.
        budget: most bytes beside the weights; None means any number.
    """

    footprint: Footprint
    sizes: list[tuple[int, int]]
    names: list[str]
    max_rows: int
    budget: int | None
    _given: int | None = field(init=False)

    def __post_init__(self) -> None:
        self._given = self.budget

    def batches(self, members: list[int] | None = None) -> list[Batch]:
        """Batches of the samples, of all or of some.

        Raises:
            DataError: the smallest division of a sample takes more than the budget.
        """
        lm = self.footprint.trials.lm
        head_rows = logit_rows(lm.head, lm.device)
        if self.budget is not None:
            row = max(self.footprint.trials.end().logits.row, 1)
            head_rows = max(1, min(head_rows, int(self.budget / _LOGITS / row)))
        try:
            return plan_batches(
                self.sizes, self.footprint.n_points, lm.n_layers, self.max_rows, members=members,
                head_rows=head_rows, budget=self.budget, bytes_of=self.bytes_of,
            )  # fmt: skip
        except NotEnough as error:
            if self.budget == self._given:
                raise DataError(
                    f"sample {self.names[error.member]!r} cannot be scored with "
                    f"{budget_text(self.budget or 0)} beside the weights: with one answer token, "
                    f"one path point and one layer at a time it needs memory_bytes={error.least} "
                    f"(memory_mib: {-(-error.least // 2**20)} of the model in a config). Give that "
                    "much, shorten the prompt, or use a device with more memory"
                ) from None
            # An allocation has failed with more than this: the least that is possible is left.
            self.budget = error.least
            return self.batches(members)

    def bytes_of(self, batch: Batch) -> int:
        """Predicted bytes of a batch, beside the weights."""
        return self.footprint.of(batch, self.sizes)

    def in_batches(self, work: Callable[[Batch], T]) -> Iterator[tuple[Batch, T]]:
        """Do the work of all samples, with smaller batches after an allocation has failed.

        Args:
            work: what is done with a batch; begun anew for its samples if memory runs out.

        Raises:
            DataError: the budget or the memory is too small for the smallest batch.
        """
        todo = self.batches()
        while todo:
            batch = todo[0]
            try:
                found = work(batch)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                text = str(error).splitlines()[0] if str(error) else type(error).__name__
            else:
                yield batch, found
                todo = todo[1:]
                continue
            # Outside of the handler, whose error holds the tensors of the batch.
            release(self.footprint.trials.lm.device)
            todo = self._after_failure(batch, text, [i for b in todo for i in b.members])

    def _after_failure(self, batch: Batch, text: str, members: list[int]) -> list[Batch]:
        """Batches of what is left, at half of the bytes of the one that failed."""
        before = self.bytes_of(batch)
        self.budget = max(before // 2, 1)
        batches = self.batches(members)
        if self.bytes_of(batches[0]) >= before:
            raise DataError(
                f"sample {self.names[batch.members[0]]!r}: out of memory ({text}) with one answer "
                f"token, one path point and one layer at a time, about {budget_text(before)} "
                "beside the weights; shorten the prompt, end other processes, or use a device with "
                "more memory"
            )
        _LOG.warning(
            "out of memory with %s in a pass (%s); going on with half", budget_text(before), text
        )
        return batches

    def room(self, batch: Batch) -> Room:
        """How much the rule adaptive may refine at once in a batch."""
        if self.budget is None:
            return Room(1 << 30, lambda points, behind: self._by_rows(points, behind))
        n, foot = len(batch.members), self.footprint
        width = max(self.sizes[i][0] for i in batch.members)
        length = max(self.sizes[i][1] for i in batch.members)
        free = self.budget - foot.while_refining(batch, self.sizes)
        together = int(free / 2 / foot.per_refined_slot())
        together = min(max(together, 1), n * min(batch.n_tokens, width))
        free -= together * foot.per_refined_slot()

        def cost(slots: int, points: int) -> float:
            return foot.refining(slots, points, length, n > 1, batch)

        def step(points: int, behind: int) -> tuple[int, int]:
            slots, points = self._by_rows(points, behind)
            fit = _largest(lambda k: cost(k, points), free)
            if fit:
                return min(slots, fit), points
            return 1, max(1, min(points, _largest(lambda k: cost(1, k), free)))

        return Room(together, step)

    def _by_rows(self, points: int, behind: int) -> tuple[int, int]:
        return max(1, self.max_rows // (points * behind)), points


def _largest(cost: Callable[[int], float], room: float) -> int:
    """Largest k >= 1 whose cost, a straight line, is within the room; 0 if there is none."""
    one, two = cost(1), cost(2)
    return 0 if one > room else 1 + int((room - one) / max(two - one, 1))

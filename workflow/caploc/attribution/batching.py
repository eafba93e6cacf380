"""Which samples, answer tokens, path points and layers share a pass.

Two limits hold. A budget of rows: rows are largest at the last block, one per (sample, answer
token, path point, layer before it). And a budget of bytes, if `footprint` can tell them. Samples
are grouped by length, because a group is padded to its longest; one that is too large alone is cut
by answer token first, then by path point, then by layer; at last blocks are run again on the way
back instead of being kept, and a sample is read anew for each part of its answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

__all__ = ["Batch", "NotEnough", "plan_batches"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One pass, or the passes that one sample is cut into.

    Attributes:
        members: indices of the samples.
        n_tokens: answer tokens of a sample that travel together.
        n_points: path points that travel together.
        n_layers: layers whose rows travel together.
        recompute: keep rows in front of blocks alone, and the recording of these tokens alone.
        head_rows: rows whose logits are held at once.
    """

    members: list[int]
    n_tokens: int
    n_points: int
    n_layers: int
    recompute: bool = False
    head_rows: int = 1 << 30


class NotEnough(Exception):
    """The budget of bytes cannot be met by a sample.

    Attributes:
        member: its index.
        least: bytes that the smallest pass takes.
    """

    def __init__(self, member: int, least: int) -> None:
        super().__init__(f"sample {member} needs {least} bytes")
        self.member = member
        self.least = least


def plan_batches(
    sizes: list[tuple[int, int]],
    n_points: int,
    n_layers: int,
    max_rows: int,
    *,
    members: list[int] | None = None,
    head_rows: int = 1 << 30,
    budget: int | None = None,
    bytes_of: Callable[[Batch], int] | None = None,
) -> list[Batch]:
    """Group samples.

    Args:
        sizes: (number of scored answer tokens, length in tokens) of each sample.
        n_points: path points of a layer.
        n_layers: number of layers.
        max_rows: most rows in one pass; at least 1. A single answer token with a single point may
            need more (one row per layer): that much is always allowed.
        members: which samples; None means all.
        head_rows: rows whose logits are held at once.
        budget: most bytes of a batch; None means any number.
        bytes_of: bytes that a batch takes, no fewer for a larger one.

    Returns:
        Batches that hold each sample once.

    Raises:
        NotEnough: the smallest pass of a sample takes more than the budget.
    """
    if max_rows < 1:
        raise ValueError(f"the row budget must be at least 1, found {max_rows}")
    order = list(range(len(sizes))) if members is None else members
    order = sorted(order, key=lambda i: (sizes[i], i), reverse=True)

    def cut(members: list[int]) -> Batch:
        return _by_rows(members, sizes, n_points, n_layers, max_rows, head_rows)

    def fits(batch: Batch) -> bool:
        return budget is None or bytes_of is None or bytes_of(batch) <= budget

    if not all(fits(_smallest(i)) for i in order):
        assert bytes_of is not None
        needs = {i: bytes_of(_smallest(i)) for i in order}
        worst = max(needs, key=lambda i: needs[i])
        raise NotEnough(worst, needs[worst])
    batches = []
    while order:
        batch = cut(order)
        n = len(batch.members)
        if not fits(batch) and n > 1:
            # The largest group that fits; every sample more takes more.
            few, many = 1, n
            while many - few > 1:
                middle = (few + many) // 2
                few, many = (middle, many) if fits(cut(order[:middle])) else (few, middle)
            n = few
            batch = cut(order[:n])
        batches.append(next(smaller for smaller in _smaller(batch) if fits(smaller)))
        del order[:n]
    return batches


def _by_rows(
    order: list[int], sizes: list[tuple[int, int]], n_points: int, n_layers: int, max_rows: int,
    head_rows: int,
) -> Batch:  # fmt: skip
    """The largest batch of the first samples that the budget of rows allows."""
    behind = max(1, n_layers - 1)
    per_token = n_points * behind + 1
    width = sizes[order[0]][0]
    members = order[: max(1, max_rows // (width * per_token))]
    # The recording of the whole sequences has a budget too; long prompts need it.
    longest = max(sizes[i][1] for i in members)
    members = members[: max(1, max(4 * max_rows, 4096) // longest)]
    return Batch(
        sorted(members),
        n_tokens=min(width, _even_part(width, max_rows // per_token)),
        n_points=_even_part(n_points, (max_rows - 1) // behind),
        n_layers=n_layers,
        head_rows=head_rows,
    )


def _smallest(member: int) -> Batch:
    return Batch([member], 1, 1, 1, recompute=True, head_rows=1)


def _smaller(batch: Batch) -> Iterator[Batch]:
    """The batch, then ever smaller ones of the same samples."""
    yield batch
    for name in ("n_tokens", "n_points", "n_layers"):
        total = getattr(batch, name)
        for n_parts in range(2, total + 1):
            part = -(-total // n_parts)
            if part < getattr(batch, name):
                batch = replace(batch, **{name: part})
                yield batch
    batch = replace(batch, recompute=True)
    yield batch
    yield replace(batch, head_rows=1)


def _even_part(total: int, most: int) -> int:
    """Largest part <= `most` (at least 1) that cuts `total` into parts of nearly equal size."""
    most = min(max(most, 1), max(total, 1))
    n_parts = -(-total // most)
    return max(1, -(-total // max(n_parts, 1)))

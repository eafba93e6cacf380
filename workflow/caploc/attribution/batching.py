"""Which samples, answer tokens and path points share a pass, within a budget of rows.

Rows are largest at the last block: one row per (sample, answer token, path point, layer before
it). Samples are grouped by length, because a group is padded to its longest; a sample that is too
large alone is cut by answer token first, then by path point.
"""

from dataclasses import dataclass

__all__ = ["Batch", "plan_batches"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One pass.

    Attributes:
        members: indices of the samples.
        n_tokens: answer tokens of a sample that travel together.
        n_points: path points that travel together.
    """

    members: list[int]
    n_tokens: int
    n_points: int


def plan_batches(
    sizes: list[tuple[int, int]], n_points: int, n_layers: int, max_rows: int
) -> list[Batch]:
    """Group samples.

    Args:
        sizes: (number of scored answer tokens, length in tokens) of each sample.
        n_points: path points of a layer.
        n_layers: number of layers.
        max_rows: most rows in one pass; at least 1. A single answer token with a single point may
            need more (one row per layer): that much is always allowed.

    Returns:
        Batches that hold each sample once.
    """
    if max_rows < 1:
        raise ValueError(f"the row budget must be at least 1, found {max_rows}")
    behind = max(1, n_layers - 1)
    per_token = n_points * behind + 1
    order = sorted(range(len(sizes)), key=lambda i: (sizes[i], i), reverse=True)
    batches = []
    while order:
        width = sizes[order[0]][0]
        members = order[: max(1, max_rows // (width * per_token))]
        # The recording of the whole sequences has a budget too; long prompts need it.
        longest = max(sizes[i][1] for i in members)
        members = members[: max(1, max(4 * max_rows, 4096) // longest)]
        del order[: len(members)]
        batches.append(
            Batch(
                sorted(members),
                n_tokens=min(width, _even_part(width, max_rows // per_token)),
                n_points=_even_part(n_points, (max_rows - 1) // behind),
            )
        )
    return batches


def _even_part(total: int, most: int) -> int:
    """Largest part <= `most` (at least 1) that cuts `total` into parts of nearly equal size."""
    most = min(max(most, 1), max(total, 1))
    n_parts = -(-total // most)
    return max(1, -(-total // max(n_parts, 1)))

"""The scores file: mean scores over all samples and over the halves of every split.

One row per mean and layer: group (``all`` or ``half``), split (-1 for all), half, n, layer, mean.
A task with too few samples to be split has the mean over all of them only, and the reason as
``too_few`` in the metadata; one without any sample gives a file without rows and ``not_computed``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc.files import store
from caploc.measures.contrast import against_others
from caploc.measures.means import HALVES, MeanScores
from caploc.records import DataError

__all__ = ["Scores", "read_scores", "scores_of_mask", "write_not_computed", "write_scores"]

_COLUMNS = ("group", "split", "half", "n", "layer", "mean")
_BYTES_SPLIT = ["mean.list.element"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Mean scores of one task, by model and method.

    Attributes:
        metadata: what `write_scores` stored.
        whole: (layer, neuron) mean over all samples.
        halves: {(split, half, n): (layer, neuron) mean of the first n samples of a half}.
    """

    metadata: dict[str, Any]
    whole: NDArray[np.float32]
    halves: dict[tuple[int, str, int], NDArray[np.float32]]

    @property
    def curve(self) -> list[int]:
        """Samples per half, increasing."""
        return sorted({n for _, _, n in self.halves})

    @property
    def n_splits(self) -> int:
        """Number of splits."""
        return len({split for split, _, _ in self.halves})


def write_scores(path: Path, means: MeanScores, metadata: dict[str, Any]) -> None:
    """Write all means, one after the other.

    Args:
        path: file to make.
        means: after every row was added.
        metadata: origin and what the samples were; sizes and the curve are added.
    """
    whole = means.whole()
    schema = _schema(whole.shape[1])
    facts = {
        "n_samples": means.n_samples,
        "n_layers": whole.shape[0],
        "n_neurons": whole.shape[1],
        "n_per_half": means.halves.curve[-1] if means.halves.curve else 0,
        "curve": list(means.halves.curve),
        "n_splits": means.halves.rank.shape[0],
    }
    with store.table_writer(path, schema, metadata | facts, _BYTES_SPLIT) as writer:
        writer.write_table(_table(schema, "all", -1, "", [(means.n_samples, whole)]))
        for split in range(facts["n_splits"]):
            for index, half in enumerate(HALVES):
                pairs = list(means.half(split, index))
                writer.write_table(_table(schema, "half", split, half, pairs))


def write_not_computed(path: Path, n_neurons: int, reason: str, metadata: dict[str, Any]) -> None:
    """Write a scores file that holds only the reason why there are no means.

    Args:
        path: file to make.
        n_neurons: neurons in a layer.
        reason: e.g. ``n = 0, needs 20``.
        metadata: origin and what the samples were.
    """
    empty = _schema(n_neurons).empty_table()
    store.write_table(empty, path, metadata | {"not_computed": reason}, _BYTES_SPLIT)


def read_scores(path: Path, *, halves: bool = True) -> Scores:
    """Read a scores file that has means; look at ``not_computed`` in the metadata first.

    Args:
        path: the file.
        halves: read the means of the halves too; without them `Scores.halves` is empty.

    Raises:
        DataError: a damaged file, no means, or means that are missing or incomplete.
    """
    metadata = store.read_metadata(path)
    if "not_computed" in metadata:
        raise DataError(
            f"{path}: holds no scores, they were not computed: {metadata['not_computed']}; give "
            "the task more samples or take it out of the run"
        )
    missing = [k for k in ("n_layers", "n_splits", "curve", "n_samples") if k not in metadata]
    if missing:
        raise DataError(f"{path}: is no scores file (no {missing[0]!r} in its metadata)")
    with store.open_parquet(path, _COLUMNS) as file:
        # The mean over all samples is the first row group.
        table = file.read() if halves else file.read_row_group(0)
    keys = [(-1, "", metadata["n_samples"])]
    if halves:
        splits = range(metadata["n_splits"])
        keys += [(s, h, n) for s in splits for h in HALVES for n in metadata["curve"]]
    grids = _grids(path, table, keys, metadata["n_layers"])
    return Scores(metadata, grids[0], dict(zip(keys[1:], grids[1:], strict=True)))


def scores_of_mask(
    path: Path, against: str, others: Sequence[Path], *, halves: bool = True
) -> Scores | str:
    """The scores that a mask is made of, or why there are none.

    Args:
        path: scores of the task.
        against: as in `caploc.catalogues.masks.MaskEntry`; the means of halves are compared with
            the others' means over all samples.
        others: scores of other tasks; those that were not computed are passed over.
        halves: as in `read_scores`.

    Raises:
        DataError: a damaged file.
    """
    reason = store.read_metadata(path).get("not_computed")
    if reason is not None:
        return str(reason)
    scores = read_scores(path, halves=halves)
    if against == "none":
        return scores
    there = [other for other in others if "not_computed" not in store.read_metadata(other)]
    rest = [read_scores(other, halves=False).whole for other in there]
    if not rest:
        return "no other task to compare with"
    parts = {key: against_others(grid, rest).astype(np.float32)
             for key, grid in scores.halves.items()}  # fmt: skip
    whole = against_others(scores.whole, rest).astype(np.float32)
    return replace(scores, whole=whole, halves=parts)


def _grids(
    path: Path, table: pa.Table, keys: list[tuple[int, str, int]], n_layers: int
) -> NDArray[np.float32]:
    """(mean, layer, neuron) of a table that has exactly the means of `keys`, in that order."""
    wanted = [(*key, layer) for key in keys for layer in range(n_layers)]
    columns = [table[name].to_pylist() for name in ("split", "half", "n", "layer")]
    if list(zip(*columns, strict=True)) != wanted:
        raise DataError(
            f"{path}: its {table.num_rows} rows are not the {len(keys)} means of {n_layers} "
            f"layers that its metadata names; {store.AGAIN}"
        )
    width = table.schema.field("mean").type.list_size
    flat = pa.concat_arrays(table["mean"].chunks).flatten().to_numpy(zero_copy_only=False)
    if len(flat) != len(wanted) * width or not np.isfinite(flat).all():
        raise DataError(f"{path}: a mean is not a finite number; {store.AGAIN}")
    return flat.reshape(len(keys), n_layers, width)


def _schema(n_neurons: int) -> pa.Schema:
    return pa.schema(
        [
            ("group", pa.string()),
            ("split", pa.int32()),
            ("half", pa.string()),
            ("n", pa.int32()),
            ("layer", pa.int16()),
            ("mean", pa.list_(pa.field("element", pa.float32(), nullable=False), n_neurons)),
        ]
    )


def _table(
    schema: pa.Schema,
    group: str,
    split: int,
    half: str,
    pairs: list[tuple[int, NDArray[np.float32]]],
) -> pa.Table:
    """Rows of several means of one half, layers ascending."""
    grids = np.stack([grid for _, grid in pairs])
    n_layers = grids.shape[1]
    n_rows = len(pairs) * n_layers
    columns = [
        pa.array([group] * n_rows, pa.string()),
        pa.array([split] * n_rows, pa.int32()),
        pa.array([half] * n_rows, pa.string()),
        pa.array(np.repeat([n for n, _ in pairs], n_layers), pa.int32()),
        pa.array(np.tile(np.arange(n_layers), len(pairs)), pa.int16()),
        pa.FixedSizeListArray.from_arrays(
            pa.array(grids.reshape(-1)), type=schema.field("mean").type
        ),
    ]
    return pa.table(columns, schema=schema)

"""Attribution files of one task: checked as a whole, then read row by row in bounded memory.

`scan` reads the small columns and refuses files that do not belong together; `rows` streams the
scores. A row is one sample and layer; samples in file order, layers ascending.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc.files import store
from caploc.records import DataError

__all__ = ["COMPLETENESS", "Shard", "completeness", "dropped", "n_batches", "rows", "scan"]

COMPLETENESS = (
    "gap_mean", "gap_max", "endpoint", "rest_mean", "rest_max", "rest_p50", "rest_p90", "effect",
    "probability",
)  # fmt: skip
_LARGEST = ("gap_max", "rest_max")
_QUANTILES = {"rest_p50": 0.5, "rest_p90": 0.9}
_SMALL = (
    "probability", "probability_zeroed", "gap_mean", "gap_max", "endpoint", "rest_mean", "rest_max",
)  # fmt: skip
# Scores decoded at once: 8 MB was fastest and smallest of 4 to 64 MB, for rows of 11,008 neurons.
_BATCH_BYTES = 1 << 23


@dataclass(frozen=True, slots=True)
class Shard:
    """One checked attribution file.

    Attributes:
        path: the file.
        sample_ids: samples in file order.
        n_layers: layers of every sample; 0 if the file holds no sample.
        n_neurons: neurons in a layer.
        small: (layer,) sums, or maxima for gap_max and rest_max, of the columns beside the scores;
            empty where scores are no path integrals.
        rest: (sample, layer) the column rest_mean.
        metadata: what the writer stored.
    """

    path: Path
    sample_ids: list[str]
    n_layers: int
    n_neurons: int
    small: dict[str, NDArray[np.float64]]
    rest: NDArray[np.float64]
    metadata: dict[str, Any]

    @property
    def task(self) -> str:
        """Id of the task, from the settings that made the file."""
        return str(self.metadata.get("origin", {}).get("spec", {}).get("task", ""))


def scan(paths: Sequence[Path]) -> list[Shard]:
    """Open attribution files and check that they can be averaged together.

    Args:
        paths: attribution files; every task must have distinct samples over its files.

    Raises:
        DataError: a damaged file, a sample that occurs twice or lacks a layer, or files of
            different grids or settings; the message names the files and the remedy.
    """
    shards = [_scan_file(path) for path in paths]
    if not shards:
        raise DataError("no attribution files were given; expected at least one")
    filled = [s for s in shards if s.sample_ids] or shards
    owner: dict[tuple[str, str], Path] = {}
    for shard in shards:
        _check_same(filled[0], shard)
        for sample_id in shard.sample_ids:
            other = owner.setdefault((shard.task, sample_id), shard.path)
            if other != shard.path:
                raise DataError(
                    f"{other} and {shard.path} both hold sample {sample_id!r}; expected every "
                    "sample in one file: delete both and run again"
                )
    return shards


def rows(
    shards: Sequence[Shard],
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]]:
    """Stream the scores of checked files.

    Args:
        shards: from `scan`.

    Yields:
        scores (row, neuron), index of each row's sample, counted over all files, and its layer.

    Raises:
        DataError: damaged data, or a score that is not finite.
    """
    start = 0
    for shard in shards:
        row = start * shard.n_layers
        for scores in _batches(shard):
            samples, layers = np.divmod(np.arange(row, row + len(scores)), shard.n_layers)
            if not np.isfinite(scores).all():
                bad = int(np.argmin(np.isfinite(scores).all(axis=1)))
                raise DataError(
                    f"{shard.path}: sample {shard.sample_ids[samples[bad] - start]!r}, layer "
                    f"{layers[bad]}: a score is not a finite number; check the dtype of the model "
                    "(float16 overflows), delete the file and run again"
                )
            yield scores, samples, layers
            row += len(scores)
        start += len(shard.sample_ids)


def completeness(shards: Sequence[Shard]) -> dict[str, list[float]] | None:
    """How well the integrals add up, per layer, over the samples of all files.

    Args:
        shards: from `scan`, with at least one sample.

    Returns:
        (layer,) mean gap over samples and its largest value over tokens; the part of it that is the
        endpoint term of the rule (see `Attribution`) and the rest: mean, largest, median and 90 %
        quantile over samples; mean |P(1) - P(0)| (effect); mean P(1). None where scores are no path
        integrals.
    """
    shards = [s for s in shards if s.sample_ids]
    if not all(s.small for s in shards):
        return None
    n = sum(len(s.sample_ids) for s in shards)
    result = {
        name: np.sum([s.small[name] for s in shards], axis=0) / n
        for name in COMPLETENESS
        if name not in (*_LARGEST, *_QUANTILES)
    }
    for name in _LARGEST:
        result[name] = np.max([s.small[name] for s in shards], axis=0)
    rest = np.concatenate([s.rest for s in shards])
    for name, share in _QUANTILES.items():
        result[name] = np.quantile(rest, share, axis=0)
    return {name: result[name].tolist() for name in COMPLETENESS}


def dropped(shards: Sequence[Shard]) -> int:
    """Number of samples that the attribution left out, over all files."""
    return sum(len(s.metadata.get("dropped", [])) for s in shards)


def _scan_file(path: Path) -> Shard:
    columns = ["sample_id", "layer", *_SMALL]
    metadata = store.read_metadata(path)
    with store.open_parquet(path, [*columns, "scores"]) as file:
        kind = file.schema_arrow.field("scores").type
        if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
            raise DataError(
                f"{path}: column 'scores' is {kind}, expected fixed_size_list<float>; {store.AGAIN}"
            )
        table = file.read(columns)
    ids = table["sample_id"].to_pylist()
    layers = table["layer"].to_numpy()
    n_layers = int(layers.max(initial=-1)) + 1
    sample_ids = _check_rows(path, ids, layers, n_layers)
    wanted = metadata.get("n_samples", len(sample_ids))
    if wanted != len(sample_ids):
        raise DataError(
            f"{path}: holds {len(sample_ids)} samples, its metadata says {wanted}; {store.AGAIN}"
        )
    if sample_ids and table["probability"].null_count == len(table):
        return Shard(path, sample_ids, n_layers, kind.list_size, {}, np.empty(0), metadata)
    small = {name: table[name].to_numpy().reshape(-1, max(n_layers, 1)) for name in _SMALL}
    _check_small(path, sample_ids, small)
    sums = {
        **{name: small[name].max(axis=0, initial=0.0) for name in _LARGEST},
        **{name: small[name].sum(axis=0) for name in ("gap_mean", "endpoint", "rest_mean")},
        "effect": np.abs(small["probability"] - small["probability_zeroed"]).sum(axis=0),
        "probability": small["probability"].sum(axis=0),
    }
    return Shard(path, sample_ids, n_layers, kind.list_size, sums, small["rest_mean"], metadata)


def _check_rows(path: Path, ids: list[str], layers: NDArray[Any], n_layers: int) -> list[str]:
    """Sample ids in file order, when every sample has each layer once, ascending."""
    sample_ids = []
    seen = set()
    for first in range(0, len(ids), max(n_layers, 1)):
        sample_id = ids[first]
        found = [
            int(layer)
            for name, layer in zip(
                ids[first : first + n_layers], layers[first : first + n_layers], strict=True
            )
            if name == sample_id
        ]
        if found != list(range(n_layers)):
            raise DataError(
                f"{path}: sample {sample_id!r} has layers {found} from row {first} on, expected "
                f"0 to {n_layers - 1}; {store.AGAIN}"
            )
        if sample_id in seen:
            raise DataError(f"{path}: sample {sample_id!r} occurs twice; {store.AGAIN}")
        seen.add(sample_id)
        sample_ids.append(sample_id)
    return sample_ids


def _check_small(path: Path, sample_ids: list[str], small: dict[str, NDArray[Any]]) -> None:
    for name, values in small.items():
        if not np.isfinite(values).all():
            sample, layer = np.argwhere(~np.isfinite(values))[0]
            raise DataError(
                f"{path}: sample {sample_ids[sample]!r}, layer {layer}: {name} is not a finite "
                f"number; {store.AGAIN}"
            )


def _check_same(first: Shard, other: Shard) -> None:
    for attribute, what in (("n_layers", "layers"), ("n_neurons", "neurons in a layer")):
        ours, theirs = getattr(first, attribute), getattr(other, attribute)
        if ours != theirs and other.sample_ids:
            raise DataError(
                f"{other.path} has {theirs} {what}, {first.path} has {ours}: was it made with "
                "another model? Delete it or fix config models"
            )
    for key in ("model", "site", "rule", "points", "weights", "steps", "tolerance"):
        ours, theirs = first.metadata.get(key), other.metadata.get(key)
        if ours != theirs:
            raise DataError(
                f"{other.path} was made with {key} {_short(theirs)}, {first.path} with "
                f"{_short(ours)}: delete the older one and run again"
            )


def n_batches(shards: Sequence[Shard]) -> int:
    """Number of times that `rows` yields, to show progress."""
    total = 0
    for shard in shards:
        with store.open_parquet(shard.path) as file:
            groups = range(file.num_row_groups)
            sizes = [file.metadata.row_group(group).num_rows for group in groups]
        total += sum(-(-size // _batch_rows(shard)) for size in sizes)
    return total


def _batch_rows(shard: Shard) -> int:
    return max(1, _BATCH_BYTES // (4 * shard.n_neurons))


def _batches(shard: Shard) -> Iterator[NDArray[np.float32]]:
    n_rows = _batch_rows(shard)
    with store.open_parquet(shard.path) as file:
        # One row group at a time: the reader keeps all that it was told to read in memory.
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(
                n_rows, row_groups=[group], columns=["scores"], use_threads=False
            ):
                column = batch.column(0)
                if column.null_count:
                    raise DataError(f"{shard.path}: a row has no scores; {store.AGAIN}")
                # A null inside a list becomes NaN and is reported with its sample and layer.
                flat = column.flatten().to_numpy(zero_copy_only=False)
                yield flat.reshape(-1, shard.n_neurons)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

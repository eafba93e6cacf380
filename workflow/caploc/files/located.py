"""Files of located sets: which units each prompt of each fact locates, by every rule of a locator.

One row per (fact, prompt, rule): the flat indices of the located units. The scores of all units are
kept too, with the first rule: averages over facts and rankings are formed from them. Causal tracing
adds its map: the tokens of the prompt, the first and last one of the subject, and the effects of
all (state, token, layer), flat. Metadata: unit, number of units in each layer (in the order of the
indices), and what was left out, with the reason.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.files import store, tables
from caploc.files.tables import TEXT, Schema
from caploc.records import DataError

__all__ = ["LOCATED", "Located", "TokenMap", "read_located", "stream_maps", "stream_scores"]

LOCATED: Schema = {
    "fact_id": TEXT, "prompt_id": pl.Int16(), "rule": TEXT, "units": pl.List(pl.Int32),
    "scores": pl.List(pl.Float32), "tokens": pl.List(TEXT), "subject": pl.List(pl.Int32),
    "effects": pl.List(pl.Float32),
}  # fmt: skip
_SETS: Schema = {name: LOCATED[name] for name in ("fact_id", "prompt_id", "rule", "units")}


@dataclass(frozen=True, slots=True)
class Located:
    """Sets of one locator for one model and set of facts.

    Attributes:
        unit: what is located.
        per_layer: (layer,) units in each layer, in the order of the indices; empty when no prompt
            could be located.
        rules: names of the rules, in the order of the locator.
        units: {(rule, fact_id, prompt_id): ascending indices of the located units}.
        dropped: (fact_id, prompt_id, reason) of prompts that were left out.
    """

    unit: str
    per_layer: NDArray[np.int64]
    rules: list[str]
    units: dict[tuple[str, str, int], NDArray[np.int32]]
    dropped: list[tuple[str, int, str]]

    def grid(self, rule: str, fact_id: str, prompt_id: int) -> NDArray[np.bool_] | None:
        """(unit,) True where located; None if the prompt was left out."""
        found = self.units.get((rule, fact_id, prompt_id))
        if found is None:
            return None
        grid = np.zeros(int(self.per_layer.sum()), dtype=np.bool_)
        grid[found] = True
        return grid


def read_located(paths: Sequence[Path]) -> Located:
    """Read all shards of one locator, without the scores.

    Raises:
        DataError: a damaged file, shards of different grids, or a unit outside the grid.
    """
    unit, rules, sizes = "", dict[str, None](), list[int]()
    units: dict[tuple[str, str, int], NDArray[np.int32]] = {}
    dropped: list[tuple[str, int, str]] = []
    for path in paths:
        metadata = store.read_metadata(path)
        unit = metadata["unit"]
        dropped += [tuple(item) for item in metadata["dropped"]]
        if metadata["per_layer"]:
            if sizes and sizes != metadata["per_layer"]:
                raise DataError(
                    f"{path}: its grid differs from that of {paths[0]}: was it made with another "
                    "model? Delete both and run again"
                )
            sizes = metadata["per_layer"]
        for fact_id, prompt_id, rule, indices in tables.read(path, _SETS).iter_rows():
            found = np.array(indices, dtype=np.int32)
            if len(found) and not (found[0] >= 0 and found[-1] < sum(sizes)):
                raise DataError(
                    f"{path}: names a unit outside the grid of {sum(sizes)}; {store.AGAIN}"
                )
            rules[rule] = None
            units[rule, fact_id, prompt_id] = found
    return Located(unit, np.array(sizes, dtype=np.int64), list(rules), units, dropped)


def stream_scores(paths: Sequence[Path]) -> Iterator[tuple[str, int, NDArray[np.float32]]]:
    """Scores of every prompt that has them, in the order of the files.

    Yields:
        fact_id, prompt_id, (unit,) scores.

    Raises:
        DataError: a damaged file.
    """
    for path in paths:
        for row in store.stream_rows(path, ["fact_id", "prompt_id", "scores"]):
            if row["scores"].is_valid:
                values = row["scores"].values.to_numpy(zero_copy_only=False)
                yield row["fact_id"].as_py(), row["prompt_id"].as_py(), values


@dataclass(frozen=True, slots=True)
class TokenMap:
    """What causal tracing found for one prompt.

    Attributes:
        fact_id: of the fact.
        prompt_id: of the prompt.
        tokens: (token,) text of each token of the prompt.
        subject: index of the first and of the last subject token.
        effects: (state, token, layer) indirect effects; states as in `caploc.locators.rome`.
    """

    fact_id: str
    prompt_id: int
    tokens: list[str]
    subject: tuple[int, int]
    effects: NDArray[np.float32]


def stream_maps(paths: Sequence[Path]) -> Iterator[TokenMap]:
    """Maps of every prompt that has one, in the order of the files.

    Raises:
        DataError: a damaged file.
    """
    names = ["fact_id", "prompt_id", "tokens", "subject", "effects"]
    for path in paths:
        n_layers = len(store.read_metadata(path)["per_layer"])
        for row in store.stream_rows(path, names):
            if row["effects"].is_valid:
                fact_id, prompt_id, tokens, (first, last) = (row[k].as_py() for k in names[:-1])
                effects = row["effects"].values.to_numpy(zero_copy_only=False)
                grid = effects.reshape(-1, len(tokens), n_layers)
                yield TokenMap(fact_id, prompt_id, tokens, (first, last), grid)

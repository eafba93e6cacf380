"""Facts whose original prompt a model completes correctly, with the sets located for them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from caploc.files import store
from caploc.files.located import read_located
from caploc.forward import subject
from caploc.records import Sample

__all__ = ["known_facts", "sample_of", "with_sets"]

_COLUMNS = (
    "fact_id", "subject", "relation", "object", "prompt_id", "prompt", "correct", "reason",
    "counterfactual",
)  # fmt: skip


def known_facts(path: Path) -> list[dict[str, Any]]:
    """Rows of the original prompts that are answered; from `recall_facts`.

    ``place`` is the number of the fact among all facts, by which shards are cut.
    """
    rows = store.read_table(path, _COLUMNS).select(_COLUMNS).to_pylist()
    places = {fact_id: i for i, fact_id in enumerate(dict.fromkeys(r["fact_id"] for r in rows))}
    return [
        row | {"place": places[row["fact_id"]]}
        for row in rows
        if row["prompt_id"] == 0 and row["correct"]
    ]


def sample_of(row: Mapping[str, Any]) -> Sample:
    """The original prompt of a fact as locators read it; its id is that of the fact."""
    return subject.sample_of(row, row["fact_id"])


def with_sets(
    rows: Sequence[dict[str, Any]], paths: Sequence[Path]
) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """(fact, rule, (unit,) located) of every fact that was located, rule by rule."""
    located = read_located(paths)
    for rule in located.rules:
        for row in rows:
            grid = located.grid(rule, row["fact_id"], 0)
            if grid is not None:
                yield row, rule, grid

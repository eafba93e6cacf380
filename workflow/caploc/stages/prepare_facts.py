"""Read a set of facts, check every one, and write the facts of the run.

Settings: `PrepareFacts`. Output: ``facts``, one row a fact.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from caploc import plugins
from caploc.catalogues.data import FactsSource
from caploc.files import tables
from caploc.files.tables import TEXT, Schema, texts
from caploc.jobs.job import Job
from caploc.records import Fact
from caploc.samples.fact_preparation import choose
from caploc.settings import Seed

__all__ = ["FACTS", "PrepareFacts", "read_facts", "run"]

_LOG = logging.getLogger(__name__)
FACTS: Schema = {
    **texts("fact_id", "subject", "relation", "object"),
    **dict.fromkeys(("prompts", "paraphrases", "neighbourhood"), pl.List(TEXT)),
    "new_object": TEXT,
}
"""One fact a row, the fields of `Fact`."""


@dataclass(frozen=True, kw_only=True)
class PrepareFacts(FactsSource):
    """Choose the facts of a run.

    Attributes:
        facts: id
        content: digest of each of the files by its name, so that an edit counts as a setting
        seed: of what is drawn
    """

    facts: str
    content: dict[str, str] | None = None
    seed: Seed


def run(job: Job) -> None:
    """Read, choose, write.

    Raises:
        DataError: unreadable data, or no usable fact.
    """
    told = job.told(PrepareFacts)
    reading = plugins.load("facts", told.plugin).FACTS.read(job.spec)
    chosen = choose(reading.facts, told.n, told.seed)
    reasons = ", ".join(f"{n} x {reason}" for reason, n in chosen.dropped.most_common())
    columns = {name: [getattr(fact, name) for fact in chosen.facts] for name in FACTS}
    about = {
        "n": len(chosen.facts),
        "wanted": told.n,
        "available": chosen.available,
        "dropped": dict(chosen.dropped),
        "rewrites_dropped": dict(chosen.rewrites_dropped),
        "sources": reading.sources,
    }
    facts = pl.DataFrame(columns, dict(FACTS))
    tables.write_part(facts, job.outputs["facts"], job.origin(), **about)
    _LOG.info(
        "facts %s: %d of %d usable; left out: %s",
        told.facts, len(chosen.facts), chosen.available, reasons or "none",
    )  # fmt: skip


def read_facts(path: Path) -> list[Fact]:
    """Facts of a file that this stage wrote."""
    found = []
    for row in tables.read(path, FACTS).iter_rows():
        fields: list[Any] = [tuple(part) if isinstance(part, list) else part for part in row]
        found.append(Fact(*fields))
    return found

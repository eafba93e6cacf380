"""Read a set of facts, check every one, and write the facts of the run.

Settings: `PrepareFacts`. Output: ``facts``, one row a fact.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from caploc import plugins
from caploc.catalogues.data import FactsSource
from caploc.files import store
from caploc.jobs.job import Job
from caploc.records import DataError, Fact
from caploc.samples.fact_preparation import choose
from caploc.settings import Seed

__all__ = ["PrepareFacts", "read_facts", "run"]

_LOG = logging.getLogger(__name__)
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("fact_id", "subject", "relation", "object")),
        *(
            (name, pa.list_(pa.string()))
            for name in ("prompts", "paraphrases", "neighbourhood")
        ),
        ("new_object", pa.string()),
    ]
)  # fmt: skip


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
    if not chosen.facts:
        raise DataError(
            f"facts.{told.facts}: none of {len(reading.facts)} records is a usable fact "
            f"({reasons or 'no records'}); correct the data or its `columns`"
        )
    columns = {name: [getattr(fact, name) for fact in chosen.facts] for name in _SCHEMA.names}
    metadata = {
        "origin": job.origin(),
        "n": len(chosen.facts),
        "wanted": told.n,
        "available": chosen.available,
        "dropped": dict(chosen.dropped),
        "rewrites_dropped": dict(chosen.rewrites_dropped),
        "sources": reading.sources,
    }
    store.write_table(pa.table(columns, schema=_SCHEMA), job.outputs["facts"], metadata)
    _LOG.info(
        "facts %s: %d of %d usable; left out: %s",
        told.facts, len(chosen.facts), chosen.available, reasons or "none",
    )  # fmt: skip


def read_facts(path: Path) -> list[Fact]:
    """Facts of a file that this stage wrote."""
    rows = store.read_table(path, _SCHEMA.names).to_pylist()
    return [
        Fact(
            row["fact_id"],
            row["subject"],
            row["relation"],
            row["object"],
            tuple(row["prompts"]),
            tuple(row["paraphrases"]),
            tuple(row["neighbourhood"]),
            row["new_object"],
        )
        for row in rows
    ]

"""Silence what each locator ranks first for a fact, filled to equal budgets, and random units.

Settings: `AblateUnits`. Inputs: ``manifest``, ``prompts``, the shard of these facts under the name
of each locator, ``means`` (all shards of one of neurons), ``neutral``. Output: ``outcomes``, see
`OUTCOMES`; metadata: what the units cost, budgets, how rankings are made. Facts the model does not
know are left out.

A random set has as many units of each kind as a located one, so it costs exactly as much. Draw r
depends on nothing but the seed and these counts: it is one set for all facts and locators.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.reliability._known_facts import known_facts, sample_of
from caploc.experiments.reliability._rankings import mean_scores, rankings, units_of, words
from caploc.experiments.reliability.settings import AblateUnits
from caploc.files import tables
from caploc.files.tables import COUNT, NUMBER, TEXT, Schema, texts
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.processor import use_processor
from caploc.forward.samples import Encoded, encoded, model_of, samples_of
from caploc.forward.silencing import Erasure
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.measures.budgets import Counts, Units
from caploc.models.language_model import LanguageModel

__all__ = ["NOTHING_FITS", "NOTHING_RANKED", "NOT_LOCATED", "OUTCOMES", "budget_name", "run"]

_LOG = logging.getLogger(__name__)
OUTCOMES: Schema = {
    **texts("fact_id", "locator", "budget"),
    **dict.fromkeys(("draw", "neurons", "heads", "ffn_layers"), COUNT),
    "weights": pl.Int64,
    **dict.fromkeys(("logprob_fall", "fluency_fall"), NUMBER),
    "short": pl.Boolean,
    "reason": TEXT,
}
"""A located set has a locator and a budget and no draw; a random one only a draw, and belongs to
every located set of its fact with the same counts. Falls are in nat per token, against the whole
model; that of neutral text (`fluency_fall`) is missing where the run has no such text. `short`: the
ranking ended below the budget; `reason` says why a fact has no set."""
NOT_LOCATED = "not located"
NOTHING_RANKED = "no unit has a positive score"
NOTHING_FITS = "the cheapest unit costs more than the budget"
_SETS = 64
"""Sets that are silenced in one call; bounds memory."""


@dataclass(frozen=True, slots=True)
class _Fact:
    """One fact with its sets.

    Attributes:
        index: number among the facts of the shard.
        fact_id: of the fact.
        sets: units by (locator, budget).
        short: keys of sets whose ranking ended although a unit would still have fitted.
    """

    index: int
    fact_id: str
    sets: dict[tuple[str, str], NDArray[np.int64]]
    short: set[tuple[str, str]]


class _Bench:
    """The model, its facts and neutral texts, and what it thinks of them unchanged."""

    def __init__(self, lm: LanguageModel, units: Units, facts: Encoded, texts: Encoded) -> None:
        self.lm, self.units, self.n_facts = lm, units, len(facts.samples)
        self.prompts = facts.prompts + texts.prompts
        self.answers = facts.answers + texts.answers
        # Against 0, what the unchanged model thinks is a fall with the other sign.
        self.base = np.zeros(len(self.prompts))
        self.base = -self._falls([[]], range(len(self.prompts)))[0]

    def falls(
        self, sets: Sequence[Iterable[int]], facts: Sequence[int]
    ) -> tuple[NDArray[np.float64], list[float | None]]:
        """What silencing costs, in nat per token: (set, fact) answers; (set,) neutral text."""
        texts = range(self.n_facts, len(self.prompts))
        found = self._falls(sets, [*facts, *texts])
        own, neutral = found[:, : len(facts)], found[:, len(facts) :]
        return own, [float(row.mean()) if len(texts) else None for row in neutral]

    def _falls(self, sets: Sequence[Iterable[int]], chosen: Sequence[int]) -> NDArray[np.float64]:
        grids = [self.units.grids(list(ids)) for ids in sets]
        erasures = [Erasure(neurons, heads=heads) for neurons, heads in grids]
        found = np.zeros((len(sets), len(chosen)))
        for first in range(0, len(sets), _SETS):
            part = slice(first, first + _SETS)
            for samples, scored in answer_likelihood(
                self.lm, [self.prompts[i] for i in chosen], [self.answers[i] for i in chosen],
                erasures[part],
            ):  # fmt: skip
                found[part, samples] = scored.logprob / scored.n_tokens
        return self.base[list(chosen)] - found


def run(job: Job) -> None:
    """Load, rank, fill, silence, write.

    Raises:
        DataError: a damaged file, or a family that does not name what is to be silenced.
    """
    use_processor(job.threads)
    told = job.told(AblateUnits)
    lm = model_of(job.input("manifest"), job.spec)
    units = units_of(lm)
    budgets = {budget_name(share): units.budget(share) for share in told.budgets}
    everyone = known_facts(job.input("prompts"))
    rows = [row for row in everyone if row["place"] // told.shard_size == told.shard]
    means = mean_scores(job.inputs.get("means", []), [row["fact_id"] for row in everyone])
    ranked = rankings(lm, units, rows, {n: job.inputs[n] for n in told.locators}, means)
    neutral = job.inputs.get("neutral", [])
    neutral_texts = encoded(lm, samples_of(neutral[0], told.texts) if neutral else [])
    own = encoded(lm, [sample_of(row) for row in rows])
    bench = _Bench(lm, units, own, neutral_texts)
    facts = [
        _filled(units, ranked, i, sample.sample_id, budgets) for i, sample in enumerate(own.samples)
    ]
    found = [*_unfilled(facts, ranked, budgets), *_located(bench, facts)]
    found += _random(bench, facts, told)
    tables.write_part(
        tables.gathered([pl.DataFrame(found, dict(OUTCOMES))], OUTCOMES), job.outputs["outcomes"],
        job.origin(), units=asdict(units), budgets=budgets, n_known=len(rows),
        n_texts=len(neutral_texts.samples), rankings=words(told.locators),
    )  # fmt: skip
    _LOG.info("%d facts: %d sets silenced", len(facts), len(found))


def budget_name(share: float | str) -> str:
    """How tables call a budget."""
    return "one FFN layer" if isinstance(share, str) else f"{100 * share:g} % of weights"


def _filled(
    units: Units,
    ranked: Mapping[str, Mapping[str, NDArray[np.int64]]],
    index: int,
    fact_id: str,
    budgets: Mapping[str, int],
) -> _Fact:
    fact = _Fact(index, fact_id, {}, set())
    for locator, of_facts in ranked.items():
        for name, budget in budgets.items() if fact_id in of_facts else ():
            ranking = of_facts[fact_id]
            ids = fact.sets[locator, name] = units.fill(ranking, budget)
            left = budget - units.cost(ids)
            if len(ids) == len(ranking) and left >= units.cheapest(ranking):
                fact.short.add((locator, name))
    return fact


def _unfilled(
    facts: Sequence[_Fact], ranked: Mapping[str, Any], budgets: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Facts without a set: nothing was located, or nothing fits."""
    for fact in facts:
        for locator in ranked:
            for name in budgets:
                ids = fact.sets.get((locator, name))
                if ids is None:
                    reason = NOT_LOCATED
                elif len(ids):
                    continue
                else:
                    reason = NOTHING_FITS if len(ranked[locator][fact.fact_id]) else NOTHING_RANKED
                row = {"fact_id": fact.fact_id, "locator": locator, "budget": name}
                yield row | {"reason": reason}


def _row(bench: _Bench, ids: NDArray[np.int64], **more: Any) -> dict[str, Any]:
    neurons, heads, layers = bench.units.counts(ids)
    counts = {"neurons": neurons, "heads": heads, "ffn_layers": layers}
    return {"weights": bench.units.cost(ids), "reason": ""} | counts | more


def _located(bench: _Bench, facts: Sequence[_Fact]) -> Iterator[dict[str, Any]]:
    """Every different set once, with the facts that have it: one ranking may serve all facts."""
    owners: dict[tuple[int, ...], list[tuple[_Fact, tuple[str, str]]]] = defaultdict(list)
    for fact in facts:
        for name, ids in fact.sets.items():
            if len(ids):
                owners[tuple(sorted(ids.tolist()))].append((fact, name))
    by_facts: dict[tuple[int, ...], list[tuple[int, ...]]] = defaultdict(list)
    for units, owned in owners.items():
        by_facts[tuple(sorted({fact.index for fact, _ in owned}))].append(units)
    for indices, sets in tracked(by_facts.items(), len(by_facts), "located sets, by fact"):
        own, neutral = bench.falls(sets, indices)
        for units, falls, fluency in zip(sets, own, neutral, strict=True):
            for fact, (locator, budget) in owners[units]:
                yield _row(
                    bench, np.array(units), fact_id=fact.fact_id, locator=locator, budget=budget,
                    logprob_fall=float(falls[indices.index(fact.index)]), fluency_fall=fluency,
                    short=(locator, budget) in fact.short,
                )  # fmt: skip


def _random(bench: _Bench, facts: Sequence[_Fact], told: AblateUnits) -> Iterator[dict[str, Any]]:
    """R draws for all counts that occur, on the facts whose located sets have these counts."""
    wanted: dict[Counts, set[int]] = defaultdict(set)
    for fact in facts:
        for ids in fact.sets.values():
            if len(ids):
                wanted[bench.units.counts(ids)].add(fact.index)
    for counts, indices in tracked(wanted.items(), len(wanted), "random sets, by counts"):
        chosen = sorted(indices)
        drawn = []
        for r in range(told.draws):
            generator = np.random.default_rng([told.seed, r, *counts])
            drawn.append(tuple(bench.units.draw(counts, generator).tolist()))
        # Of few units there are few sets: each is silenced once.
        different = list(dict.fromkeys(drawn))
        own, neutral = bench.falls(different, chosen)
        for r, units in enumerate(drawn):
            k = different.index(units)
            for i, index in enumerate(chosen):
                yield _row(
                    bench, np.array(units), fact_id=facts[index].fact_id, locator="", budget="",
                    draw=r, logprob_fall=float(own[k, i]), fluency_fall=neutral[k],
                )  # fmt: skip

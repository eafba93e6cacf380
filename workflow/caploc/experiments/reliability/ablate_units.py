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
from dataclasses import asdict
from itertools import product
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
Key = tuple[int, str, str]
"""Number of a fact among those of the shard, locator, budget."""
Ids = NDArray[np.int64]
_SETS = 64
"""Sets that are silenced in one call; bounds memory."""


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
    neutral_texts = encoded(lm, samples_of(lm, neutral[0], told.texts) if neutral else [])
    own = encoded(lm, [sample_of(row) for row in rows])
    bench = _Bench(lm, units, own, neutral_texts)
    fact_ids = [sample.sample_id for sample in own.samples]
    sets, short, found = _filled(units, ranked, fact_ids, budgets)
    found += _located(bench, fact_ids, sets, short)
    found += _random(bench, fact_ids, sets, told)
    tables.write_part(
        tables.gathered([pl.DataFrame(found, dict(OUTCOMES))], OUTCOMES), job.outputs["outcomes"],
        job.origin(), units=asdict(units), budgets=budgets, n_known=len(rows),
        n_texts=len(neutral_texts.samples), rankings=words(told.locators),
    )  # fmt: skip
    _LOG.info("%d facts: %d sets silenced", len(fact_ids), len(found))


def budget_name(share: float | str) -> str:
    """How tables call a budget."""
    return "one FFN layer" if isinstance(share, str) else f"{100 * share:g} % of weights"


def _filled(
    units: Units,
    ranked: Mapping[str, Mapping[str, Ids]],
    fact_ids: Sequence[str],
    budgets: Mapping[str, int],
) -> tuple[dict[Key, Ids], set[Key], list[dict[str, Any]]]:
    """Units of each fact, locator and budget.

    Returns:
        Sets of units; keys of those whose ranking ended although a unit would still have fitted;
        rows of facts without a set: nothing was located, or nothing fits.
    """
    sets, short, without = {}, set(), []
    for index, fact_id in enumerate(fact_ids):
        for (locator, of_facts), (name, budget) in product(ranked.items(), budgets.items()):
            key, ranking = (index, locator, name), of_facts.get(fact_id)
            if ranking is None:
                reason = NOT_LOCATED
            elif len(ids := units.fill(ranking, budget)):
                sets[key] = ids
                left = budget - units.cost(ids)
                if len(ids) == len(ranking) and left >= units.cheapest(ranking):
                    short.add(key)
                continue
            else:
                reason = NOTHING_FITS if len(ranking) else NOTHING_RANKED
            without.append(
                {"fact_id": fact_id, "locator": locator, "budget": name, "reason": reason}
            )
    return sets, short, without


def _row(bench: _Bench, ids: NDArray[np.int64], **more: Any) -> dict[str, Any]:
    neurons, heads, layers = bench.units.counts(ids)
    counts = {"neurons": neurons, "heads": heads, "ffn_layers": layers}
    return {"weights": bench.units.cost(ids), "reason": ""} | counts | more


def _located(
    bench: _Bench, fact_ids: Sequence[str], sets: Mapping[Key, Ids], short: set[Key]
) -> Iterator[dict[str, Any]]:
    """Every different set once, with the facts that have it: one ranking may serve all facts."""
    owners: dict[tuple[int, ...], list[Key]] = defaultdict(list)
    for key, ids in sets.items():
        owners[tuple(sorted(ids.tolist()))].append(key)
    by_facts: dict[tuple[int, ...], list[tuple[int, ...]]] = defaultdict(list)
    for units, owned in owners.items():
        by_facts[tuple(sorted({index for index, _, _ in owned}))].append(units)
    for indices, some in tracked(by_facts.items(), len(by_facts), "located sets, by fact"):
        own, neutral = bench.falls(some, indices)
        for units, falls, fluency in zip(some, own, neutral, strict=True):
            for key in owners[units]:
                index, locator, budget = key
                yield _row(
                    bench, np.array(units), fact_id=fact_ids[index], locator=locator,
                    budget=budget, logprob_fall=float(falls[indices.index(index)]),
                    fluency_fall=fluency, short=key in short,
                )  # fmt: skip


def _random(
    bench: _Bench, fact_ids: Sequence[str], sets: Mapping[Key, Ids], told: AblateUnits
) -> Iterator[dict[str, Any]]:
    """R draws for all counts that occur, on the facts whose located sets have these counts."""
    wanted: dict[Counts, set[int]] = defaultdict(set)
    for (index, _, _), ids in sets.items():
        wanted[bench.units.counts(ids)].add(index)
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
                    bench, np.array(units), fact_id=fact_ids[index], locator="", budget="",
                    draw=r, logprob_fall=float(own[k, i]), fluency_fall=neutral[k],
                )  # fmt: skip

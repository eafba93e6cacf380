"""Checks in which nothing should be found, on a planted model and one of its capabilities.

Settings: `CheckNull`. Inputs: ``manifest``, ``sets``, ``locate``, ``test``, ``shuffled`` (locate,
with exchanged answers), ``other`` (test). Output: ``part`` of the table `known_answer`: calibration
of p, specificity of halves of one task, and what an untrained model and shuffled answers give.
"""

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from caploc.experiments.known_answer._layout import read_layout
from caploc.experiments.known_answer._null import calibrate, own_minus_other
from caploc.experiments.known_answer._planted import PLACE, answered
from caploc.experiments.known_answer._surgery import chance
from caploc.experiments.known_answer.settings import CheckNull
from caploc.experiments.known_answer.table import KNOWN_ANSWER, of_capability
from caploc.files import tables
from caploc.forward.processor import use_processor
from caploc.forward.samples import Encoded, encoded, model_of, samples_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.locating import stacked
from caploc.locators import cnl
from caploc.measures.agreement import overlap
from caploc.measures.masks import outliers
from caploc.measures.random_sets import draw
from caploc.measures.statistics import bootstrap_mean, wilson
from caploc.measures.summaries import WILSON, exact, of_estimates
from caploc.models.language_model import LanguageModel, wrap_model
from caploc.records import Sample

__all__ = ["run"]

Grid = NDArray[np.bool_]
# Replicates whose sets are scored together: bounds memory.
_TOGETHER = 5


def run(job: Job) -> None:
    """Check, write."""
    use_processor(job.threads)
    told = job.told(CheckNull)
    lm = model_of(job.input("manifest"), PLACE)
    planted = read_layout(job.input("sets")).carrying(told.task)
    locate, shuffled = (samples_of(lm, job.input(k), told.samples) for k in ("locate", "shuffled"))
    test, other = (
        encoded(lm, samples_of(lm, job.input(k), told.samples)) for k in ("test", "other")
    )
    found = [_calibration(lm, test, planted, told), _specificity(lm, locate, test, told)]
    for model, what in ((lm, "trained"), (_untrained(lm, told.seed), "untrained")):
        for samples, answers in ((locate, "real answers"), (shuffled, "shuffled answers")):
            rule = pl.lit(f"{what}, {answers}")
            found += [
                f.with_columns(rule=rule) for f in _control(model, samples, test, other, told)
            ]
    part = of_capability(tables.gathered(found, KNOWN_ANSWER), told)
    tables.write_part(part, job.outputs["part"], job.origin())


def falls(lm: LanguageModel, texts: Encoded, grids: list[Grid], tokens: int) -> NDArray[Any]:
    """(grid, sample) what silencing takes from the log-probability of the answer, in nat."""
    logprob, _ = answered(lm, texts, [np.zeros_like(grids[0]), *grids], tokens)
    return logprob[0] - logprob[1:]


def _calibration(lm: LanguageModel, test: Encoded, planted: Grid, told: CheckNull) -> pl.DataFrame:
    """P(p <= a) with one more draw in the place of the located mask."""
    k, n_sets, n = told.calibration_samples, told.draws + 1, told.replicates
    some = Encoded(test.samples[:k], test.prompts[:k], test.answers[:k], [])
    starts = range(0, n, _TOGETHER)
    effects = []
    for first in tracked(starts, len(starts), "calibration"):
        last = min(first + _TOGETHER, n)
        # Seeds never repeat: replicates are independent.
        sets = [draw(planted, "layer", i) for i in range(first * n_sets, last * n_sets)]
        mean = falls(lm, some, sets, told.batch_tokens).mean(axis=1)
        effects.append(mean.reshape(-1, n_sets))
    found = calibrate(np.concatenate(effects), told.levels)
    return pl.DataFrame(
        {
            "sigma": [c.level for c in found],
            "value": [c.share for c in found],
            "ci_low": [c.low for c in found],
            "ci_high": [c.high for c in found],
            "interval": [f"binomial 95 % around {c.level:g}" for c in found],
            "note": [_verdict(c.holds) for c in found],
        }
    ).with_columns(metric=pl.lit("calibration"), n=n)


def _specificity(
    lm: LanguageModel, locate: list[Sample], test: Encoded, told: CheckNull
) -> pl.DataFrame:
    """Own minus other of two random halves of one task."""
    rng = np.random.default_rng([told.seed, 1])
    _, halves = _masks(lm, locate, told, rng)
    n = len(test.samples) // 2 * 2
    in_first = np.zeros(n, dtype=np.bool_)
    in_first[rng.permutation(n)[: n // 2]] = True
    effects = falls(lm, test, halves, told.batch_tokens)[:, :n]
    found = own_minus_other(effects[0], effects[1], in_first, told.seed)
    return of_estimates([found]).with_columns(
        metric=pl.lit("specificity"), note=pl.lit(_verdict(found.low <= 0 <= found.high))
    )


def _control(
    lm: LanguageModel, locate: list[Sample], test: Encoded, other: Encoded, told: CheckNull
) -> list[pl.DataFrame]:
    """Agreement of halves, effect and own minus other; base accuracy says what they are worth."""
    mask, halves = _masks(lm, locate, told, np.random.default_rng([told.seed, 2]))
    n = len(test.samples)
    _, right = answered(lm, test, [np.zeros_like(mask)])
    base = wilson(int(right.sum()), n)
    guess = chance([s.answer for s in test.samples])
    at_chance = "at chance: no capability" if base.low <= guess else ""
    own = falls(lm, test, [mask], told.batch_tokens)[0]
    elsewhere = falls(lm, other, [mask], told.batch_tokens)[0]
    effect = of_estimates([bootstrap_mean(own, seed=told.seed)])
    return [
        exact(overlap(*halves), int(mask.sum()), metric="agreement"),
        effect.with_columns(metric=pl.lit("located_effect")),
        exact(float(own.mean() - elsewhere.mean()), n, metric="own_minus_other"),
        of_estimates([base], WILSON).with_columns(
            metric=pl.lit("base_accuracy"), note=pl.lit(at_chance)
        ),
    ]


def _masks(
    lm: LanguageModel, samples: list[Sample], told: CheckNull, rng: np.random.Generator
) -> tuple[Grid, list[Grid]]:
    """What all samples locate, and each of two random halves of them."""
    scores = stacked(cnl.locate(lm, samples, seed=told.seed))
    n, order = len(scores), rng.permutation(len(scores))
    parts = (slice(None), order[: n // 2], order[n // 2 : n // 2 * 2])
    mask, *halves = (outliers(scores[part].mean(0), told.sigma) for part in parts)
    return mask, halves


def _verdict(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def _untrained(lm: LanguageModel, seed: int) -> LanguageModel:
    """The same architecture and tokenizer with random weights."""
    torch.manual_seed(seed)
    return wrap_model(type(lm.model)(lm.model.config), lm.tokenizer)

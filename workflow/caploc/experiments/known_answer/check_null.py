"""Checks in which nothing should be found, on a planted model and one of its capabilities.

Settings: ``plant``, ``seed``, ``task`` (the capability), ``other`` (another planted capability),
``replicates``, ``draws`` (R), ``calibration_samples``, ``levels``, ``samples`` (to locate with and
to test), ``sigma``, ``batch_tokens``. Inputs: ``manifest``, ``sets``, ``locate``, ``test``,
``shuffled`` (locate, with exchanged answers), ``other`` (test). Output: ``part`` of the table
`known_answer`: calibration of p, specificity of halves of one task, and what an untrained model and
shuffled answers give.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.experiments.known_answer._layout import read_layout
from caploc.experiments.known_answer._null import calibrate, own_minus_other
from caploc.experiments.known_answer._planted import PLACE, right
from caploc.experiments.known_answer._surgery import chance
from caploc.experiments.known_answer.table import KNOWN_ANSWER, Row
from caploc.files import store
from caploc.files._old_tables import rows
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.processor import use_processor
from caploc.forward.samples import Encoded, encoded, model_of, samples_of
from caploc.forward.silencing import Erasure
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.locating import stacked
from caploc.locators import cnl
from caploc.measures.agreement import overlap
from caploc.measures.masks import outliers
from caploc.measures.random_sets import draw
from caploc.measures.statistics import bootstrap_mean, wilson
from caploc.models.language_model import LanguageModel, wrap_model
from caploc.records import Sample

__all__ = ["run"]

Grid = NDArray[np.bool_]
# Replicates whose sets are scored together: bounds memory.
_TOGETHER = 5


def run(job: Job) -> None:
    """Check, write."""
    use_processor(job.threads)
    spec = job.spec
    lm = model_of(job.input("manifest"), PLACE)
    planted = read_layout(job.input("sets")).carrying(spec["task"])
    n = spec["samples"]
    locate, shuffled = (samples_of(job.input(k), n) for k in ("locate", "shuffled"))
    test = encoded(lm, samples_of(job.input("test"), n))
    other = encoded(lm, samples_of(job.input("other"), n))
    found = _calibration(lm, test, planted, spec)
    found.append(_specificity(lm, locate, test, spec))
    for model, what in ((lm, "trained"), (_untrained(lm, spec["seed"]), "untrained")):
        for samples, answers in ((locate, "real answers"), (shuffled, "shuffled answers")):
            named = {"rule": f"{what}, {answers}"}
            found += [named | row for row in _control(model, samples, test, other, spec)]
    named = {"plant": spec["plant"], "seed": spec["seed"], "dataset": spec["task"]}
    table = rows((named | row for row in found), KNOWN_ANSWER)
    store.write_table(table, job.outputs["part"], {"origin": job.origin()})


def falls(lm: LanguageModel, texts: Encoded, grids: list[Grid], tokens: int) -> NDArray[Any]:
    """(grid, sample) what silencing takes from the log-probability of the answer, in nat."""
    nothing = np.zeros_like(grids[0])
    found = np.zeros((len(grids) + 1, len(texts.samples)))
    for samples, part in answer_likelihood(
        lm, texts.prompts, texts.answers, [Erasure(g) for g in (nothing, *grids)],
        batch_tokens=tokens,
    ):  # fmt: skip
        found[:, samples] = part.logprob
    return found[0] - found[1:]


def _calibration(
    lm: LanguageModel, test: Encoded, planted: Grid, spec: dict[str, Any]
) -> list[Row]:
    """P(p <= a) with one more draw in the place of the located mask."""
    k = spec["calibration_samples"]
    some = Encoded(test.samples[:k], test.prompts[:k], test.answers[:k], [])
    n_sets, n = spec["draws"] + 1, spec["replicates"]
    starts = range(0, n, _TOGETHER)
    effects = []
    for first in tracked(starts, len(starts), "calibration"):
        last = min(first + _TOGETHER, n)
        # Seeds never repeat: replicates are independent.
        sets = [draw(planted, "layer", i) for i in range(first * n_sets, last * n_sets)]
        mean = falls(lm, some, sets, spec["batch_tokens"]).mean(axis=1)
        effects.append(mean.reshape(-1, n_sets))
    return [
        {
            "metric": "calibration", "sigma": found.level, "value": found.share,
            "ci_low": found.low, "ci_high": found.high, "n": n,
            "interval": f"binomial 95 % around {found.level:g}",
            "note": "holds" if found.holds else "does not hold",
        }
        for found in calibrate(np.concatenate(effects), spec["levels"])
    ]  # fmt: skip


def _specificity(
    lm: LanguageModel, locate: list[Sample], test: Encoded, spec: dict[str, Any]
) -> Row:
    """Own minus other of two random halves of one task."""
    rng = np.random.default_rng([spec["seed"], 1])
    scores = _scores(lm, locate, spec)
    masks = [outliers(scores[half].mean(0), spec["sigma"]) for half in _halves(len(scores), rng)]
    n = len(test.samples) // 2 * 2
    in_first = np.zeros(n, dtype=np.bool_)
    in_first[rng.permutation(n)[: n // 2]] = True
    effects = falls(lm, test, masks, spec["batch_tokens"])[:, :n]
    found = own_minus_other(effects[0], effects[1], in_first, spec["seed"])
    holds = found.low <= 0 <= found.high
    return _row("specificity", found) | {"note": "holds" if holds else "does not hold"}


def _control(
    lm: LanguageModel, locate: list[Sample], test: Encoded, other: Encoded, spec: dict[str, Any]
) -> list[Row]:
    """Agreement of halves, effect and own minus other; base accuracy says what they are worth."""
    rng = np.random.default_rng([spec["seed"], 2])
    scores = _scores(lm, locate, spec)
    halves = [outliers(scores[half].mean(0), spec["sigma"]) for half in _halves(len(scores), rng)]
    mask = outliers(scores.mean(0), spec["sigma"])
    n = len(test.samples)
    (share,) = right(lm, test, [np.zeros_like(mask)])
    base = wilson(round(share * n), n)
    guess = chance([s.answer for s in test.samples])
    at_chance = "at chance: no capability" if base.low <= guess else ""
    own = falls(lm, test, [mask], spec["batch_tokens"])[0]
    elsewhere = falls(lm, other, [mask], spec["batch_tokens"])[0]
    agreement: Row = {"metric": "agreement", "value": overlap(*halves), "n": int(mask.sum())}
    return [
        agreement,
        _row("located_effect", bootstrap_mean(own, seed=spec["seed"])),
        {"metric": "own_minus_other", "value": float(own.mean() - elsewhere.mean()), "n": n},
        _row("base_accuracy", base) | {"interval": "Wilson 95 %", "note": at_chance},
    ]


def _scores(lm: LanguageModel, samples: list[Sample], spec: dict[str, Any]) -> NDArray[np.float64]:
    return stacked(cnl.locate(lm, samples, seed=spec["seed"]))


def _halves(n: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    order = rng.permutation(n)
    return [order[: n // 2], order[n // 2 : n // 2 * 2]]


def _untrained(lm: LanguageModel, seed: int) -> LanguageModel:
    """The same architecture and tokenizer with random weights."""
    torch.manual_seed(seed)
    return wrap_model(type(lm.model)(lm.model.config), lm.tokenizer)


def _row(metric: str, found: Any) -> Row:
    ends = {"ci_low": found.low, "ci_high": found.high, "interval": "bootstrap 95 %"}
    return {"metric": metric, "value": found.value, "n": found.n} | ends

"""Write a new object into each fact by a rank-one edit of one layer, layer by layer.

Settings: `EditFacts`. Inputs: ``manifest``, ``facts``, ``prompts``, ``located`` (all shards of
rome), ``moments``. Output: ``outcomes``, one row per fact and layer (-1: the unedited model); facts
the model does not know are left out, others are counted with the reason.
"""

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from caploc.experiments.reliability._known_facts import known_facts
from caploc.experiments.reliability._preference import log_probabilities, ngram_entropy
from caploc.experiments.reliability.settings import EditFacts
from caploc.experiments.reliability.sum_keys import read_moment
from caploc.files import tables
from caploc.files.located import stream_scores
from caploc.files.tables import COUNT, LAYER, NUMBER, TEXT, Schema
from caploc.forward.generation import continue_text
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of
from caploc.forward.subject import Tokens, tokens_of
from caploc.interventions.prefixes import sample_prefixes, with_prefix
from caploc.interventions.rank_one import (
    Edit,
    ValueSettings,
    edited,
    find_values,
    mean_keys,
    rank_one_edit,
)
from caploc.interventions.second_moment import factorised
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel
from caploc.records import DataError, Dropped, Fact, Sample
from caploc.stages.prepare_facts import read_facts

__all__ = ["OUTCOMES", "chosen_layers", "run"]

_LOG = logging.getLogger(__name__)
OUTCOMES: Schema = {
    "fact_id": TEXT,
    "layer": LAYER,
    **dict.fromkeys(
        ("effect", "margin", "efficacy", "paraphrase", "neighbourhood", "fluency"), NUMBER
    ),
    **dict.fromkeys(("n_paraphrases", "n_neighbours"), COUNT),
}
"""`effect`: tracing effect of the layer; `margin`: log P(new) - log P(old), mean per token;
`efficacy`, `paraphrase`: share of prompts that prefer the new object, `neighbourhood` the old one;
`fluency`: n-gram entropy of generated text, bit. Empty where a fact has no such prompts."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One fact to edit.

    Attributes:
        fact: as prepared.
        new: object to write.
        texts: prompt behind every prefix, the first without; answer: the new object.
        essence: "<subject> is a".
        pairs: (kind, prompt ids, ids of the old object, ids of the new one).
        effects: (layer,) tracing effects.
    """

    fact: Fact
    new: str
    texts: list[Tokens]
    essence: Tokens
    pairs: list[tuple[str, list[int], list[int], list[int]]]
    effects: NDArray[np.float32]


def run(job: Job) -> None:
    """Edit, ask, restore, for every chosen layer and fact; write."""
    use_processor(job.threads)
    told = job.told(EditFacts)
    lm = model_of(job.input("manifest"), job.spec)
    dropped: Counter[str] = Counter()
    cases = list(_cases(lm, job, told, dropped))
    rows = [_outcome(lm, case, None, -1, told) for case in cases]
    singular = []
    keys = mean_keys(lm, [case.texts for case in cases]) if cases else torch.zeros(lm.n_layers, 0)
    settings = ValueSettings(told.steps, told.learning_rate, told.weight_decay, told.kl, told.clamp)
    layers = chosen_layers(lm.n_layers, told)
    for layer in tracked(layers if cases else [], len(layers), "edited layers"):
        factor, added = factorised(read_moment(job.input("moments"), layer), told.ridge)
        singular += [layer] if added else []
        for first in range(0, len(cases), told.batch_facts):
            some = cases[first : first + told.batch_facts]
            values = find_values(
                lm, layer, [c.texts for c in some], [c.essence for c in some], settings
            )
            for i, case in enumerate(some):
                edit = rank_one_edit(lm, layer, keys[layer, first + i], values[i], factor)
                rows.append(_outcome(lm, case, edit, layer, told))
    tables.write_part(
        pl.DataFrame(rows, dict(OUTCOMES)), job.outputs["outcomes"], job.origin(),
        dropped=dict(dropped), singular_layers=singular, n_layers=lm.n_layers,
    )  # fmt: skip
    _LOG.info(
        "%d facts edited in each of %d layers, left out: %s; singular second moments: %s",
        len(cases), len(layers), dict(dropped) or "none", singular or "none",
    )  # fmt: skip


def chosen_layers(n_layers: int, told: EditFacts) -> list[int]:
    """Layers to edit, ascending; see `edited_layers` of the settings.

    Raises:
        DataError: the model has not the layer that counts as located.
    """
    if told.layer is not None and told.layer >= n_layers:
        raise DataError(
            f"experiments.reliability.rome.layer is {told.layer}, the model has layers 0 to "
            f"{n_layers - 1}"
        )
    spread = np.linspace(0, n_layers - 1, min(told.edited_layers or n_layers, n_layers))
    located = [] if told.layer is None else [told.layer]
    return sorted({*spread.round().astype(int).tolist(), *located})


def _cases(lm: LanguageModel, job: Job, told: EditFacts, dropped: Counter[str]) -> Iterator[_Case]:
    facts = {fact.fact_id: fact for fact in read_facts(job.input("facts"))}
    effects = {
        fact_id: scores.copy()
        for fact_id, prompt_id, scores in stream_scores(job.inputs["located"])
        if prompt_id == 0
    }
    objects = defaultdict(set)
    for fact in facts.values():
        objects[fact.relation].add(fact.object)
    prefixes = sample_prefixes(lm, [(n, length) for n, length in told.prefixes], told.seed)
    for row in known_facts(job.input("prompts")):
        fact = facts[row["fact_id"]]
        others = sorted(objects[fact.relation] - {fact.object})
        rng = random.Random(f"new object {told.seed} {fact.fact_id}")
        try:
            if fact.fact_id not in effects:
                raise Dropped("not traced")
            new = fact.new_object or (rng.choice(others) if others else "")
            if not new:
                raise Dropped("no new object: none in the data, no other one of the relation")
            sample = Sample(fact.fact_id, fact.prompts[0], " " + new, {"subject": fact.subject})
            tokens = tokens_of(lm, sample)
            texts = [with_prefix(lm, tokens, prefix) for prefix in prefixes]
            if max(len(t.read) for t in texts) > lm.context:
                raise Dropped("does not fit the context behind a prefix")
            about = f"{fact.subject} is a"
            essence = tokens_of(lm, replace(sample, prompt=about))
            pairs = list(_pairs(lm, fact, new, told))
        except Dropped as reason:
            dropped[str(reason)] += 1
            continue
        yield _Case(fact, new, texts, essence, pairs, effects[fact.fact_id])


def _pairs(
    lm: LanguageModel, fact: Fact, new: str, told: EditFacts
) -> Iterator[tuple[str, list[int], list[int], list[int]]]:
    """Prompts with both objects: the original, rewrites of it, prompts about neighbours."""
    rewrites = [*fact.paraphrases, *fact.prompts[1:]][: told.paraphrases]
    neighbours = fact.neighbourhood[: told.neighbours]
    for kind, prompts in (
        ("efficacy", fact.prompts[:1]), ("paraphrase", rewrites), ("neighbourhood", neighbours),
    ):  # fmt: skip
        for text in prompts:
            old, other = (lm.encode(text, f" {answer}") for answer in (fact.object, new))
            yield kind, old[0], old[1], other[1]


def _outcome(
    lm: LanguageModel, case: _Case, edit: Edit | None, layer: int, told: EditFacts
) -> dict[str, Any]:
    prompts = [prompt for _, prompt, _, _ in case.pairs]
    with nullcontext() if edit is None else edited(lm, edit):
        both = log_probabilities(
            lm, prompts * 2, [old for _, _, old, _ in case.pairs] + [n for *_, n in case.pairs]
        )
        texts: Sequence[Sequence[int]] = []
        if told.fluency_tokens:
            some = [p for kind, p, _, _ in case.pairs if kind != "neighbourhood"]
            generator = torch.Generator().manual_seed(told.seed)
            texts = continue_text(lm, some, told.fluency_tokens, generator)
    margin = both[len(prompts) :] - both[: len(prompts)]
    row: dict[str, Any] = {
        "fact_id": case.fact.fact_id, "layer": layer, "margin": float(margin[0]),
        "effect": None if layer < 0 else float(case.effects[layer]),
        "fluency": ngram_entropy(texts) if texts else None,
    }  # fmt: skip
    for kind, wanted, count in (
        ("efficacy", 1, ""), ("paraphrase", 1, "n_paraphrases"), ("neighbourhood", -1,
                                                                  "n_neighbours"),
    ):  # fmt: skip
        own = [m for m, (k, *_) in zip(margin, case.pairs, strict=True) if k == kind]
        row[kind] = float(np.mean([wanted * m > 0 for m in own])) if own else None
        if count:
            row[count] = len(own)
    return row

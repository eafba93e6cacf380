"""Which facts does a model know, prompt by prompt; and its own rewrites, where it can write.

Settings: `RecallFacts`. Inputs:
``manifest``, ``facts``. Output: ``prompts``, one row a prompt: prompt_id (0 is the original), kind,
rank within its kind, text, whether the model completes it with the object, and the same prompt
about another subject with as many tokens (circuits need one).
"""

import json
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from caploc.files import store, tables
from caploc.files.tables import NUMBER, TEXT, Schema, texts
from caploc.forward.own_rewrites import OwnRewrites, rewrite_facts
from caploc.forward.processor import use_processor
from caploc.forward.recall import Recall, recall
from caploc.forward.samples import model_of
from caploc.jobs.job import Job
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Fact
from caploc.samples.subjects import asked_about
from caploc.settings import Count, Seed
from caploc.stages.prepare_facts import read_facts
from caploc.stages.settings import Place

__all__ = ["KINDS", "PROMPTS", "RecallFacts", "run"]

_LOG = logging.getLogger(__name__)
KINDS = ("original", "template", "paraphrase", "own")
PROMPTS: Schema = {
    **texts("fact_id", "subject", "relation", "object"), "prompt_id": pl.Int16(), "kind": TEXT,
    "rank": pl.Int16(), "prompt": TEXT, "correct": pl.Boolean(), "probability": NUMBER,
    **texts("reason", "counterfactual", "counterfactual_object"),
}  # fmt: skip
_EXAMPLES = 30
_MOST_TRIED = 30
"""Subjects of the same relation, and of others, that are tried as a twin of equal length."""


@dataclass(frozen=True, kw_only=True)
class RecallFacts(Place):
    """Ask a model for its facts.

    Attributes:
        facts: id
        rewrites: most rewrites of each kind
        refine_prompts: prompts of a fact that knowledge neurons are refined over
        own_rewrites: whether the model rewrites prompts itself
        seed: of the choice of other subjects
    """

    facts: str
    rewrites: Count
    refine_prompts: Count
    own_rewrites: bool
    seed: Seed


def run(job: Job) -> None:
    """Ask every prompt once, write what came of it."""
    use_processor(job.threads)
    told = job.told(RecallFacts)
    facts = read_facts(job.input("facts"))
    lm = model_of(job.input("manifest"), job.spec)
    own = OwnRewrites(not_available="not asked for")
    if told.own_rewrites:
        own = rewrite_facts(lm, facts)
    rows = [row for fact in facts for row in _prompts(fact, own, told)]
    answers = recall(lm, [row["prompt"] for row in rows], [" " + row["object"] for row in rows])
    for row, answer in zip(rows, answers, strict=True):
        dropped = isinstance(answer, Dropped)
        row["reason"] = str(answer) if dropped else ""
        row["correct"] = answer.correct if isinstance(answer, Recall) else None
        row["probability"] = answer.probability if isinstance(answer, Recall) else None
    _add_counterfactuals(lm, facts, rows, told.seed)
    about = {
        "facts": store.read_metadata(job.input("facts")) | {"origin": None},
        "n_facts": len(facts),
        "n_known": sum(bool(row["correct"]) for row in rows if row["prompt_id"] == 0),
        "own_not_available": own.not_available,
        "own_kept": len(own.kept),
        "own_dropped": dict(own.dropped),
        "own_examples": own.examples[:_EXAMPLES],
    }
    prompts = pl.DataFrame(rows, dict(PROMPTS))
    tables.write_part(prompts, job.outputs["prompts"], job.origin(), **about)
    _tell(told.model, about)


def _prompts(fact: Fact, own: OwnRewrites, told: RecallFacts) -> Iterator[dict[str, Any]]:
    """Rows of one fact: the original, as many rewrites of each kind as are wanted."""
    n_templates = max(told.rewrites, told.refine_prompts - 1)
    texts = [("original", 0, fact.prompts[0])]
    texts += [("template", i, text) for i, text in enumerate(fact.prompts[1:][:n_templates])]
    wanted = fact.paraphrases[: told.rewrites]
    texts += [("paraphrase", i, text) for i, text in enumerate(wanted)]
    if fact.fact_id in own.kept:
        texts.append(("own", 0, own.kept[fact.fact_id]))
    for prompt_id, (kind, rank, text) in enumerate(texts):
        yield {
            "fact_id": fact.fact_id,
            "subject": fact.subject,
            "relation": fact.relation,
            "object": fact.object,
            "prompt_id": prompt_id,
            "kind": kind,
            "rank": rank,
            "prompt": text,
        }


def _add_counterfactuals(
    lm: LanguageModel, facts: Sequence[Fact], rows: list[dict[str, Any]], seed: int
) -> None:
    """Give each prompt its twin about another subject with as many tokens and another object.

    Subjects of the same relation come first, then those of others; among them one that fits all
    prompts of the fact, so that these have the same twin.
    """
    lengths: dict[str, int | None] = {}

    def length(prompt: str, answer: str) -> int | None:
        if prompt not in lengths:
            try:
                lengths[prompt] = len(lm.encode(prompt, answer)[0])
            except Dropped:
                lengths[prompt] = None
        return lengths[prompt]

    of_fact: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        of_fact.setdefault(row["fact_id"], []).append(row)
    for fact in facts:
        others = _candidates(fact, facts, seed)
        prompts = of_fact[fact.fact_id]
        fits = {
            other.fact_id: [
                row
                for row in prompts
                if (twin := _twin(row["prompt"], fact, other)) is not None
                and length(row["prompt"], " " + fact.object) is not None
                and length(row["prompt"], " " + fact.object) == length(twin, " " + fact.object)
            ]
            for other in others
        }
        for other in sorted(
            others, key=lambda f: (f.relation != fact.relation, -len(fits[f.fact_id]))
        ):
            for row in fits[other.fact_id]:
                if "counterfactual" not in row:
                    row["counterfactual"] = _twin(row["prompt"], fact, other)
                    row["counterfactual_object"] = other.object


def _candidates(fact: Fact, facts: Sequence[Fact], seed: int) -> list[Fact]:
    """Facts with another subject and object: some of the same relation, some of others."""
    chosen = []
    for same in (True, False):
        found = [
            f
            for f in facts
            if (f.relation == fact.relation) is same
            and f.object != fact.object
            and f.subject != fact.subject
        ]
        random.Random(f"counterfactual {seed} {fact.fact_id}").shuffle(found)
        chosen += found[:_MOST_TRIED]
    return chosen


def _twin(prompt: str, fact: Fact, other: Fact) -> str | None:
    """The prompt about another subject; None where the place of its own is not known."""
    try:
        return asked_about(other.subject, prompt, fact.subject)
    except Dropped:
        return None


def _tell(model: str, about: dict[str, Any]) -> None:
    _LOG.info(
        "%s: completes the original prompt of %d of %d facts",
        model, about["n_known"], about["n_facts"],
    )  # fmt: skip
    if about["own_not_available"]:
        _LOG.info("rewrites by the model itself: %s", about["own_not_available"])
        return
    _LOG.info(
        "rewrites by the model itself: %d kept, left out: %s",
        about["own_kept"], json.dumps(about["own_dropped"]),
    )  # fmt: skip
    for prompt, text, verdict in about["own_examples"]:
        _LOG.info("  %s | %s | %s", prompt, text, verdict)

"""CounterFact (Meng et al. 2022), in its original nested form and in the flat form.

Nested: ``requested_rewrite`` {prompt with {}, subject, relation_id, target_true.str,
target_new.str}, ``paraphrase_prompts``, ``neighborhood_prompts``. Its paraphrases carry an
unrelated sentence in front. Flat: ``prompt``, ``subject``, ``ground_truth``, ``target_new``,
``rephrase_prompt``, ``locality_prompt``; there the prompt's template stands for the relation.
"""

from collections.abc import Mapping
from typing import Any

from caploc.records import Dropped, Fact
from caploc.samples.fact_set import FactSet, Reading, Rows, read_rows, relation_of
from caploc.samples.task import HubSource

__all__ = ["FACTS"]

# A row has one form or the other, so only what both have can be demanded of the columns.
_ROWS = Rows("CounterFact", HubSource("azhx/counterfact", None, (), ("case_id",)), ("case_id",))


def _read(settings: Mapping[str, Any]) -> Reading:
    return read_rows(_ROWS, settings, _to_fact)


def _to_fact(index: int, row: Mapping[str, Any]) -> Fact:
    fact_id = str(row["case_id"])
    if isinstance(row.get("requested_rewrite"), Mapping):
        return _nested(fact_id, row)
    missing = [key for key in ("prompt", "subject", "ground_truth") if not row.get(key)]
    if missing:
        raise Dropped(f"no {missing[0]!r}")
    return Fact(
        fact_id=fact_id,
        subject=row["subject"],
        relation=relation_of(row["prompt"], row["subject"]),
        object=row["ground_truth"],
        prompts=(row["prompt"],),
        paraphrases=_texts(row.get("rephrase_prompt")),
        neighbourhood=_texts(row.get("locality_prompt")),
        new_object=row.get("target_new") or "",
    )


def _nested(fact_id: str, row: Mapping[str, Any]) -> Fact:
    asked = row["requested_rewrite"]
    if "{}" not in asked["prompt"]:
        raise Dropped("no place for the subject in the prompt")
    return Fact(
        fact_id=fact_id,
        subject=asked["subject"],
        relation=asked["relation_id"],
        object=asked["target_true"]["str"],
        prompts=(asked["prompt"].replace("{}", asked["subject"], 1),),
        paraphrases=_texts(row.get("paraphrase_prompts")),
        neighbourhood=_texts(row.get("neighborhood_prompts")),
        new_object=asked["target_new"]["str"],
    )


def _texts(value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value or []
    return tuple(text for text in values if text)


FACTS = FactSet("CounterFact", _read)

"""CounterFact (Meng et al. 2022), in its original nested form and in the flat form.

Nested: ``requested_rewrite`` {prompt with {}, subject, relation_id, target_true.str,
target_new.str}, ``paraphrase_prompts``, ``neighborhood_prompts``. Its paraphrases carry an
unrelated sentence in front. Flat: ``prompt``, ``subject``, ``ground_truth``, ``target_new``,
``rephrase_prompt``, ``locality_prompt``; there the prompt's template stands for the relation.
"""

from collections.abc import Mapping
from typing import Any

from caploc.records import Dropped, Fact
from caploc.samples.fact_set import FactSet, Reading, Rows, read_rows, text, texts
from caploc.samples.subjects import relation_of
from caploc.samples.task import HubSource

__all__ = ["FACTS"]

# A row has one form or the other, so only what both have can be demanded of the columns.
_ROWS = Rows("CounterFact", HubSource("azhx/counterfact", None, (), ("case_id",)), ("case_id",))


def _read(settings: Mapping[str, Any]) -> Reading:
    return read_rows(_ROWS, settings, _to_fact)


def _to_fact(index: int, row: Mapping[str, Any]) -> Fact:
    fact_id = text(row, "case_id")
    if isinstance(row.get("requested_rewrite"), Mapping):
        return _nested(fact_id, row)
    prompt, subject = text(row, "prompt"), text(row, "subject")
    return Fact(
        fact_id=fact_id,
        subject=subject,
        relation=relation_of(prompt, subject),
        object=text(row, "ground_truth"),
        prompts=(prompt,),
        paraphrases=texts(row, "rephrase_prompt"),
        neighbourhood=texts(row, "locality_prompt"),
        new_object=next(iter(texts(row, "target_new")), ""),
    )


def _nested(fact_id: str, row: Mapping[str, Any]) -> Fact:
    asked = row["requested_rewrite"]
    template, subject = text(asked, "prompt"), text(asked, "subject")
    if "{}" not in template:
        raise Dropped("no place for the subject in the prompt")
    return Fact(
        fact_id=fact_id,
        subject=subject,
        relation=text(asked, "relation_id"),
        object=_target(asked, "target_true"),
        prompts=(template.replace("{}", subject, 1),),
        paraphrases=texts(row, "paraphrase_prompts"),
        neighbourhood=texts(row, "neighborhood_prompts"),
        new_object=_target(asked, "target_new"),
    )


def _target(asked: Mapping[str, Any], name: str) -> str:
    """An object, which stands under ``str``."""
    found = asked.get(name)
    return text(found if isinstance(found, Mapping) else {name: found}, "str")


FACTS = FactSet("CounterFact", _read)

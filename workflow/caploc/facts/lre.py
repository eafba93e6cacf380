"""LRE relations (Hernandez et al. 2024): factual, commonsense and linguistic relations.

``files``: the folder with one JSON file a relation: ``prompt_templates`` (the first is the
original), ``prompt_templates_zs``, ``samples``.
"""

import json
from collections.abc import Mapping
from typing import Any

from caploc.records import DataError, Dropped, Fact
from caploc.samples.fact_set import FactSet, Reading, digests, folder_of, text

__all__ = ["FACTS"]


def _read(settings: Mapping[str, Any]) -> Reading:
    paths = folder_of("LRE relations", settings, ("**/*.json",))
    reading = Reading([], digests(paths))
    for path in paths:
        try:
            relation = json.loads(path.read_text(encoding="utf-8"))
            templates = [*relation["prompt_templates"], *relation["prompt_templates_zs"]]
            name, samples = relation["name"], relation["samples"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: is no relation ({type(error).__name__}: {error}); expected an object "
                "with name, prompt_templates, prompt_templates_zs and samples"
            ) from None
        usable = tuple(dict.fromkeys(t for t in templates if isinstance(t, str) and "{}" in t))
        for index, sample in enumerate(samples):
            sample = sample if isinstance(sample, Mapping) else {}
            fact_id = f"{path.stem}-{index}"
            reading.facts.append(_to_fact(fact_id, name, sample, usable))
    return reading


def _to_fact(
    fact_id: str, relation: str, sample: Any, templates: tuple[str, ...]
) -> Fact | Dropped:
    if not templates:
        return Dropped("no template with a place for the subject")
    try:
        subject, answer = text(sample, "subject"), text(sample, "object")
    except Dropped as reason:
        return reason
    return Fact(
        fact_id=fact_id,
        subject=subject,
        relation=relation,
        object=answer,
        prompts=tuple(template.replace("{}", subject, 1) for template in templates),
    )


FACTS = FactSet("LRE relations", _read)

"""One worked example of this run for each of the paper's two frameworks.

Its Figure 1 (fidelity and reliability): one fact, asked in two ways, located twice. Its Figure 2
(decoupling): one text under two tasks, beside another text. The example is the first of the run
that can be shown; the sections' tables have the means over all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caploc.files import store
from caploc.jobs.job import Job

__all__ = ["FactExample", "Located", "PairExample", "fact_example", "pair_example"]

_PROMPTS = ("fact_id", "prompt_id", "kind", "prompt", "object", "correct")
_SETS = ("fact_id", "prompt_id", "rule", "units")
_PAIRS = ("pair_id", "main", "part", "form", "prompt", "answer")
_PAIRED = ("pair_id", "part", "form", "correct", "units")


@dataclass(frozen=True, slots=True)
class Located:
    """A prompt with what it located, beside the prompt that the example starts from.

    Attributes:
        what: relation to the first prompt, in words; empty for the first one.
        prompt: its text.
        n_units: located units.
        n_common: of these, also located by the first prompt.
        share: `n_common` over the mean size of both sets (0-1).
    """

    what: str
    prompt: str
    n_units: int
    n_common: int
    share: float


@dataclass(frozen=True, slots=True)
class FactExample:
    """One fact.

    `answer` is its object, `known` whether the model completes both prompts, `locator` an id.
    """

    locator: str
    rule: str
    answer: str
    known: bool
    first: Located
    rewrite: Located


@dataclass(frozen=True, slots=True)
class PairExample:
    """One prompt and four others that share its text, its task, both or neither."""

    rule: str
    answer: str
    first: Located
    others: tuple[Located, ...]


def fact_example(job: Job, locator: str) -> FactExample | None:
    """The first fact whose original prompt and a rewrite both locate something.

    Args:
        job: its inputs `fact_prompts` and `fact_sets` may be missing.
        locator: id of the locator that made `fact_sets`.

    Raises:
        DataError: a damaged file.
    """
    if not (job.inputs.get("fact_prompts") and job.inputs.get("fact_sets")):
        return None
    prompts = store.read_table(job.input("fact_prompts"), _PROMPTS).to_pylist()
    rows = store.read_table(job.input("fact_sets"), _SETS).to_pylist()
    rule = rows[0]["rule"] if rows else ""
    sets = {(r["fact_id"], r["prompt_id"]): r["units"] for r in rows if r["rule"] == rule}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in prompts:
        if sets.get((row["fact_id"], row["prompt_id"])):
            found.setdefault(row["fact_id"], []).append(row)
    usable = [
        (first, rewrite)
        for first, *rest in found.values()
        for rewrite in rest[:1]
        if first["kind"] == "original" and rewrite["kind"] != "original"
    ]
    if not usable:
        return None
    # A fact that the model knows, if there is one.
    first, rewrite = min(usable, key=lambda pair: not (pair[0]["correct"] and pair[1]["correct"]))
    units = [sets[row["fact_id"], row["prompt_id"]] for row in (first, rewrite)]
    return FactExample(
        locator=locator,
        rule=rule,
        answer=first["object"],
        known=bool(first["correct"] and rewrite["correct"]),
        first=_located("", first["prompt"], units[0], units[0]),
        rewrite=_located("the same fact in other words", rewrite["prompt"], units[1], units[0]),
    )


def pair_example(job: Job, rule: str) -> PairExample | None:
    """The first two pairs whose prompts all locate something.

    Args:
        job: its inputs `pair_samples` and `pair_sets` may be missing.
        rule: of the located sets, in words.

    Raises:
        DataError: a damaged file.
    """
    if not (job.inputs.get("pair_samples") and job.inputs.get("pair_sets")):
        return None
    samples = store.read_table(job.input("pair_samples"), _PAIRS).to_pylist()
    sets = {
        (row["pair_id"], row["part"], row["form"]): row
        for row in store.read_table(job.input("pair_sets"), _PAIRED).to_pylist()
        if row["units"]
    }
    texts = {(row["pair_id"], row["part"], row["form"]): row for row in samples}
    grid = [(part, form) for part in ("1", "2") for form in ("0", "1")]
    whole = [
        pair
        for pair in dict.fromkeys(row["pair_id"] for row in samples)
        if all((pair, *place) in sets and (pair, *place) in texts for place in grid)
    ]
    whole.sort(key=lambda pair: not all(sets[pair, *place]["correct"] for place in grid))
    if len(whole) < 2:
        return None
    one, other = whole[:2]
    start = (one, "1", "0")
    units = sets[start]["units"]
    compared = (
        ("same text, same task", (one, "1", "1")),
        ("same text, other task", (one, "2", "0")),
        ("other text, same task", (other, "1", "0")),
        ("other text, other task", (other, "2", "0")),
    )
    return PairExample(
        rule=rule,
        answer=texts[start]["answer"].strip(),
        first=_located("", texts[start]["prompt"], units, units),
        others=tuple(
            _located(what, texts[key]["prompt"], sets[key]["units"], units)
            for what, key in compared
        ),
    )


def _located(what: str, prompt: str, units: Sequence[int], first: Sequence[int]) -> Located:
    common = len(set(units) & set(first))
    return Located(what, prompt, len(units), common, 2 * common / (len(units) + len(first)))

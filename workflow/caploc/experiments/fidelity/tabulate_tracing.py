"""The table `tracing`: maps of causal tracing, averaged over facts and of a few single facts.

Rows without a fact are means over facts by the role of the token (`ROLES`): first the mean over the
tokens of that role in a fact, then over facts. Tokens before the subject have the effect 0 by
construction and no role. Rows with a fact hold the map of its original prompt as it is.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.fidelity.table import TRACING
from caploc.files import store
from caploc.files._old_tables import rows as as_table
from caploc.files._old_tables import write
from caploc.files.located import TokenMap, stream_maps
from caploc.jobs.job import Job
from caploc.measures.averages import Row, averaged

__all__ = ["ROLES", "STATES", "role_of", "run"]

STATES = ("residual", "ffn", "attention")
"""What is restored, in the order of the maps (`caploc.locators.rome.KINDS`)."""
ROLES = (
    "first subject token", "middle subject tokens", "last subject token", "further tokens",
    "last token",
)  # fmt: skip


def run(job: Job) -> None:
    """Average the maps of every model and set of facts.

    Args:
        job: settings ``shown`` (single facts with their maps), ``minimum`` (facts; fewer are not
            averaged), ``seed``; inputs ``prompts`` and ``located`` of all models and sets of
            facts; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged file.
    """
    known = {}
    for path in job.inputs.get("prompts", []):
        rows = store.read_table(path, ("fact_id", "prompt_id", "correct")).to_pylist()
        known[_named(path)] = {
            r["fact_id"] for r in rows if r["prompt_id"] == 0 and r["correct"]
        }  # fmt: skip
    found: list[Row] = []
    for name, paths in groupby(job.inputs.get("located", []), _named):
        maps = [m for m in stream_maps(list(paths)) if m.prompt_id == 0]
        base = {"model": name[0], "dataset": name[1], "metric": "indirect_effect"}
        found += [base | row for row in _rows(job.spec, maps, known[name])]
    write(job, as_table(found, TRACING))


def _named(path: Any) -> tuple[str, str]:
    spec = store.read_metadata(path)["origin"]["spec"]
    return spec["model"], spec["facts"]


def _rows(spec: dict[str, Any], maps: list[TokenMap], known: set[str]) -> Iterator[Row]:
    answered = [m for m in maps if m.fact_id in known]
    for group, of_group in (("known", answered), ("all", maps)):
        for row in _averages(spec, of_group):
            yield {"facts": group} | row
    # A fact that the model does not know has nothing to bring back.
    for shown in (answered or maps)[: spec["shown"]]:
        for (state, token, layer), value in np.ndenumerate(shown.effects):
            yield {
                "facts": "known" if answered else "all",
                "fact": shown.fact_id, "state": STATES[state], "token": token,
                "text": shown.tokens[token], "position": role_of(shown, token), "layer": layer,
                "value": float(value), "n": 1,
            }  # fmt: skip


def _averages(spec: dict[str, Any], maps: list[TokenMap]) -> Iterator[Row]:
    by_role: dict[str, list[NDArray[np.float64]]] = {role: [] for role in ROLES}
    for of_fact in maps:
        roles = [role_of(of_fact, token) for token in range(len(of_fact.tokens))]
        for role, means in by_role.items():
            tokens = [i for i, name in enumerate(roles) if name == role]
            if tokens:
                means.append(of_fact.effects[:, tokens].mean(1, dtype=np.float64))
    for role, means in by_role.items():
        # (fact, state, layer); a role that no fact has has no row.
        for state, name in enumerate(STATES):
            for layer in range(means[0].shape[1] if means else 0):
                values = [float(mean[state, layer]) for mean in means]
                row = {"position": role, "state": name, "layer": layer}
                yield row | averaged(values, spec["minimum"], spec["seed"])


def role_of(found: TokenMap, token: int) -> str:
    """Role of a token; a subject of one token has a last one only, empty before the subject."""
    first, last = found.subject
    if token < first:
        return ""
    if token == last:
        return "last subject token"
    if token == first:
        return "first subject token"
    if token < last:
        return "middle subject tokens"
    return "last token" if token == len(found.tokens) - 1 else "further tokens"

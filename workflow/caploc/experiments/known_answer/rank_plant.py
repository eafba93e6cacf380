"""How well each locator finds the planted neurons of one capability.

Settings: ``plant``, ``seed``, ``task`` (the capability), ``sigmas``, ``variants`` (other rankings
by locator), ``least_effect`` (nat). Inputs: ``check``, ``sets``, ``scores``, ``effects``. Output:
``part`` of the table `known_answer`. A plant that fails the surgery check has rows that say so, and
no ranking.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc.experiments.known_answer._layout import Layout, read_layout
from caploc.experiments.known_answer.table import (
    KNOWN_ANSWER,
    Row,
    Scored,
    ranked_rows,
    surgery_rows,
)
from caploc.files import store
from caploc.files._old_tables import rows
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """Compare, write."""
    spec = job.spec
    check = store.read_json(job.input("check"))
    found: list[Row] = list(surgery_rows(check, spec["task"]))
    if check["usable"][spec["task"]]:
        layout = read_layout(job.input("sets"))
        effects = store.read_table(job.input("effects")).to_pylist()
        effective = _effective(effects, layout, spec["least_effect"])
        for row in effects:
            if row["neuron"] is None:
                found.append({"set": row["kind"], "metric": "effect", "value": row["effect"]})
        single = [row["effect"] for row in effects if row["neuron"] is not None]
        found.append({"metric": "effective", "value": float(effective.sum()), "n": len(single)})
        found += ranked_rows(
            _scored(job.input("scores")), layout, spec["task"], effective, spec["sigmas"],
            spec["variants"], spec["seed"],
        )  # fmt: skip
    named = {"plant": spec["plant"], "seed": spec["seed"], "dataset": spec["task"]}
    table: pa.Table = rows((named | row for row in found), KNOWN_ANSWER)
    store.write_table(table, job.outputs["part"], {"origin": job.origin()})


def _effective(effects: list[Row], layout: Layout, least: float) -> NDArray[np.bool_]:
    """(layer, neuron) True for planted neurons whose effect less two errors exceeds `least`."""
    grid = np.zeros(layout.owner.shape, dtype=np.bool_)
    for row in effects:
        if row["neuron"] is not None and row["effect"] - 2 * row["error"] > least:
            grid[row["layer"], row["neuron"]] = True
    return grid


def _scored(path: Path) -> Scored:
    found: dict[tuple[str, str, int], list[list[float]]] = {}
    columns = ["locator", "ranked", "n_samples", "layer", "scores"]
    for row in store.read_table(path, columns).to_pylist():
        key = (row["locator"], row["ranked"], row["n_samples"])
        found.setdefault(key, []).append(row["scores"])
    return {key: np.array(values) for key, values in found.items()}

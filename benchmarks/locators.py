"""Locators that look at other tasks beside those that do not, on planted models that are there.

    python benchmarks/locators.py two-percent/0 two-percent/1

reads results/default (or --results), after `snakemake known_answer_full`, and writes
benchmarks/results/locators.json. The first plant is the one on which settings were chosen. Of every
locator: average precision on all and on effective planted neurons, the same with idle planted ones
left out, and the share of the first places that decoys and other capabilities take. `seconds` of
uniform masks are with the first stage for the first capability of a plant, without it for the rest.
"""

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import polars as pl

from caploc import plugins
from caploc.experiments.known_answer._effects import Effects
from caploc.experiments.known_answer._layout import DECOYS, Layout, read_layout
from caploc.experiments.known_answer._planted import PLACE
from caploc.experiments.known_answer._ranking import (
    average_precision,
    share_among_first,
    strength,
)
from caploc.files import store, tables
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of, samples_of
from caploc.locating import Given, scores_of_task
from caploc.locators import uniform_masks
from machine import save

TASKS = ("calculations", "emotions", "code-writing", "reviews", "remarks")
LOCATORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "uniform masks, two stages": ("uniform_masks", "", {}),
    "uniform masks, stage one": ("uniform_masks", "", {"pool": 0}),
    "mask gradient": ("mask_gradient", "", {}),
    "contrastive size": ("contrastive_size", "", {}),
    "activation size": ("activation_size", "", {}),
    "cnl": ("cnl", "", {}),
    "cnl, positive": ("cnl", "positive", {}),
    "random": ("random_order", "", {}),
}


@contextmanager
def first_stage_once() -> Iterator[None]:
    """Capabilities of a plant share the masks of the first stage, so they are run once."""
    seen: dict[tuple[str, ...], Any] = {}
    run = uniform_masks._worths

    def kept(lm: Any, samples: Any, *told: Any, pool: Any = None, **settings: Any) -> Any:
        if pool is not None:
            return run(lm, samples, *told, pool=pool, **settings)
        key = (samples[0].prompt, samples[-1].prompt)
        if key not in seen:
            seen[key] = run(lm, samples, *told, pool=None, **settings)
        return seen[key]

    uniform_masks._worths = kept
    yield
    uniform_masks._worths = run


def truths(folder: Path, layout: Layout, task: str, least: float) -> tuple[Any, Any]:
    """(layer, neuron) planted ones, and those of them that are used."""
    rows = tables.read(folder / task / "effects.parquet").filter(pl.col("neuron").is_not_null())
    used = Effects(rows["effect"].to_numpy(), rows["error"].to_numpy()).effective(least)
    effective = np.zeros(layout.owner.shape, dtype=np.bool_)
    effective[rows["layer"], rows["neuron"]] = used
    return layout.carrying(task), effective


def of_plant(root: Path, cell: str, n: int, least: float) -> Iterator[dict[str, Any]]:
    """Every locator for every capability of a plant that passed the surgery check."""
    folder = root / "known-answer" / cell
    lm, layout = model_of(folder / "manifest.json", PLACE), read_layout(folder / "sets.parquet")
    usable = store.read_json(folder / "check.json")["usable"]
    samples = {t: samples_of(lm, root / "samples" / t / "locate.parquet", n) for t in TASKS}
    for task in (t for t in layout.capabilities if usable[t]):
        planted, effective = truths(folder, layout, task, least)
        given = Given(samples[task], {t: s for t, s in samples.items() if t != task}, [])
        rest = np.any([layout.carrying(t) for t in layout.capabilities if t != task], axis=0)
        for name, (module, ranked, settings) in LOCATORS.items():
            locator, started = plugins.load("locators", module), process_time()
            scores = scores_of_task(locator, lm, given, seed=0, **settings).mean(axis=0)
            x = strength(scores, ranked or locator.RANKED)
            first = int(planted.sum())
            found = {
                "all": average_precision(x, planted),
                "effective": average_precision(x, effective),
                "idle left out": average_precision(
                    x[~planted | effective], effective[~planted | effective]
                ),
                "decoys": share_among_first(x, layout.of(*DECOYS), first),
                "other capabilities": share_among_first(x, rest, first),
                "seconds": process_time() - started,
            }
            about = {"plant": cell, "task": task, "locator": name, "planted": first}
            about["used"] = int(effective.sum())
            yield about | {k: round(v, 3) for k, v in found.items()}


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("cells", nargs="+", help="plant/seed; the first is that of development")
    told.add_argument("--results", type=Path, default=Path("results/default"))
    told.add_argument("--samples", type=int, default=200)
    told.add_argument("--least", type=float, default=0.01)
    told = told.parse_args()
    logging.disable(logging.INFO)
    use_processor(1)
    rows = []
    for cell in told.cells:
        with first_stage_once():
            for row in of_plant(told.results, cell, told.samples, told.least):
                rows.append(row)
                print(row, flush=True)
    save("locators", {"development": told.cells[0], "rows": rows})


if __name__ == "__main__":
    main()

"""An invented run with every case the page must show: the numbers mean nothing.

Data sets: alpha and beta share words, alpha and gamma a capability; gamma locates nothing at sigma
12 (empty mask); delta had too few samples (not computed); base and samples know dropped records.
"""

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pyarrow as pa

from caploc import plugins
from caploc.experiments.agreement.table import AGREEMENT
from caploc.files import store, tables
from caploc.files.base_tables import BASE, COMPLETENESS, NEURONS, SAMPLES
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.report.registry import parts

LAYERS, WIDTH = 4, 256
CURVE = (1, 2, 5, 10, 20, 50, 100, 200)
MASKS = {"s3": 3.0, "s6": 6.0, "s12": 12.0}
TASKS = [
    {"id": "alpha", "title": "Word problems", "capability": "mathematics", "plugin": "none"},
    {"id": "beta", "title": "Story look-up", "capability": "extraction", "plugin": "none"},
    {"id": "gamma", "title": "Number words", "capability": "mathematics", "plugin": "none"},
    {"id": "delta", "title": 'Too few <b>&"', "capability": "language", "plugin": "none"},
]
PAIRS = [
    {"name": "same words", "a": "alpha", "b": "beta", "shares": "words"},
    {"name": "same capability", "a": "alpha", "b": "gamma", "shares": "capability"},
]
EXPERIMENTS = {
    name: schema
    for part in parts()
    for name, schema in part.module.TABLES.items()
    if name in {table for names in plugins.declared("TABLES").values() for table in names}
}
SPLIT_PAIRS = [
    {"a": "alpha/locate", "b": "alpha/test", "shared": 0},
    {"a": "alpha/locate", "b": "beta/locate", "shared": 4},
    {"a": "alpha/test", "b": "training text of tiny", "shared": 0},
]
SHARES = {"s3": 0.0123, "s6": 0.00391, "s12": 0.00097}
LEVELS = {"alpha": 0.91, "beta": 0.84, "gamma": 0.62, "mixture": 0.78, "neutral": 0.55}


def spec(**changes: Any) -> dict[str, Any]:
    """Settings of the stage."""
    return {
        "run": "example",
        "title": "Example <i>run</i>",
        "config": {"run": {"name": "example", "seed": 0, "tasks": [t["id"] for t in TASKS]}},
        "tasks": TASKS,
        "models": ["tiny"],
        "methods": ["cnl"],
        "masks": [{"id": m, "sigma": s} for m, s in MASKS.items()],
        "headline_mask": "s6",
        "pairs": PAIRS,
        "neutral": "neutral",
    } | changes


def _halves(arm: str, dataset: str, mask: str, level: float, empty: bool) -> list[dict[str, Any]]:
    """Rows of one data set: agreement grows with the number of samples."""
    rows = []
    for i, n in enumerate(CURVE):
        grown = level * (0.35 + 0.65 * (i + 1) / len(CURVE))
        values = {
            "overlap": None if empty else grown,
            "iou": None if empty else grown / (2 - grown),
            "located_share": 0.0 if empty else SHARES[mask],
            "located_count": 0.0 if empty else SHARES[mask] * LAYERS * WIDTH,
            "chance_overlap_uniform": None if empty else SHARES[mask],
            "chance_overlap_layer": None if empty else SHARES[mask] * 2.5,
        }
        if n == CURVE[-1]:
            values["located_share_whole"] = 0.0 if empty else SHARES[mask] * 1.1
        for metric, value in values.items():
            spread = 0.031 if metric in ("overlap", "iou") else 0.0
            rows.append(
                _row(dataset, "", mask, arm, "halves", n, metric, value)
                | {
                    "ci_low": None if value is None else value - spread,
                    "ci_high": None if value is None else min(1.0, value + spread),
                    "interval": "range over 5 splits",
                    "n": 0 if value is None else 5,
                }
            )
    return rows


def _row(
    dataset: str, reference: str, mask: str, arm: str, comparison: str,
    n_half: int | None, metric: str, value: float | None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "model": "tiny", "dataset": dataset, "reference": reference, "method": "cnl",
        "mask": mask, "sigma": MASKS[mask], "arm": arm, "comparison": comparison,
        "n_half": n_half, "metric": metric, "value": value, "ci_low": None, "ci_high": None,
        "interval": "", "n": 1, "n_draws": None, "p": None, "p_holm": None, "role": "",
    }  # fmt: skip


def agreement() -> list[dict[str, Any]]:
    """The table `agreement`."""
    rows: list[dict[str, Any]] = []
    for mask in MASKS:
        for task in ("alpha", "beta", "gamma"):
            empty = (task, mask) == ("gamma", "s12")
            rows += _halves("located", task, mask, LEVELS[task], empty)
            rows += _halves("shuffled", f"{task}.shuffled", mask, LEVELS[task] * 0.7, False)
            rows += [
                _row(task, f"{task}.shuffled", mask, "located", "shuffled-mask", CURVE[-1], m, v)
                for m, v in (("overlap", 0.44), ("iou", 0.28))
            ]
            rows += [
                _row(task, f"{task}.converged", mask, "located", "converged-mask", None, m, v)
                for m, v in (("iou", 0.83), ("score_error", 0.214))
            ]
        rows.append(
            _row("delta", "", mask, "located", "halves", None, "overlap", None)
            | {"interval": "not computed: n = 3, needs 20", "n": 0}
        )
        for arm in ("mixture", "neutral"):
            rows += _halves(arm, arm, mask, LEVELS[arm], False)
        for a, b, value in (
            ("alpha", "beta", 0.61), ("alpha", "gamma", 0.22), ("beta", "gamma", 0.18),
        ):  # fmt: skip
            empty = mask == "s12" and b == "gamma"
            for metric, v in (
                ("overlap", value), ("iou", value / (2 - value)),
                ("chance_overlap_uniform", 0.004), ("chance_overlap_layer", 0.01),
            ):  # fmt: skip
                v = None if empty else v
                rows.append(_row(a, b, mask, "located", "datasets", None, metric, v))
            rows.append(
                _row(a, b, mask, "located", "datasets", None, "shared_count", 0.0 if empty else 2.0)
            )
    return rows


def neurons() -> list[dict[str, Any]]:
    """The table `neurons`: alpha 5, beta 4, gamma 3 neurons, one of them in all three."""
    sets = {
        "alpha": [(0, 3), (0, 17), (0, 200), (1, 40), (3, 255)],
        "beta": [(0, 3), (0, 17), (2, 9), (2, 100)],
        "gamma": [(0, 3), (1, 77), (3, 128)],
    }
    rows = []
    for mask, sigma in MASKS.items():
        for task, places in sets.items():
            if (task, mask) == ("gamma", "s12"):
                continue
            for layer, neuron in places:
                others = [t for t, p in sets.items() if t != task and (layer, neuron) in p]
                rows += [
                    {
                        "model": "tiny", "dataset": task, "method": "cnl", "mask": mask,
                        "sigma": sigma, "layer": layer, "neuron": neuron,
                        "shared_by": ";".join(others), "metric": metric, "value": value,
                    }
                    for metric, value in (("score", 0.01), ("z", sigma + 1.5))
                ]  # fmt: skip
    return rows


def base() -> list[dict[str, Any]]:
    """The table `base`: gamma is saturated, delta was not evaluated."""
    return [
        {
            "model": "tiny", "dataset": task, "split": "test", "metric": "exact_match",
            "value": value, "ci_low": value - 0.04, "ci_high": min(1.0, value + 0.04),
            "interval": "Wilson 95 %", "n": 200,
        }
        for task, value in (("alpha", 0.62), ("beta", 0.93), ("gamma", 0.985), ("neutral", 0.31))
    ]  # fmt: skip


def samples() -> list[dict[str, Any]]:
    """The table `samples`: kept records, and two that were dropped with a reason."""
    rows = [
        {"model": "", "dataset": task, "split": split, "reason": "", "metric": "kept", "value": n}
        for task in ("alpha", "beta", "gamma", "neutral")
        for split, n in (("locate", 400), ("test", 200))
    ]
    rows.append(
        {"model": "", "dataset": "delta", "split": "locate", "reason": "", "metric": "kept",
         "value": 3}
    )  # fmt: skip
    for model, task, reason, n in (
        ("", "alpha", "no <answer>", 7), ("tiny", "beta", "does not fit the context", 2),
    ):  # fmt: skip
        rows.append({"model": model, "dataset": task, "split": "locate", "reason": reason,
                     "metric": "dropped", "value": n})  # fmt: skip
    return rows


def completeness() -> list[dict[str, Any]]:
    """The table `completeness`."""
    return [
        {"model": "tiny", "dataset": task, "method": "cnl", "layer": layer, "metric": metric,
         "value": value, "n": 400}
        for task in ("alpha", "beta", "gamma", "neutral")
        for layer in range(LAYERS)
        for metric, value in (
            ("gap_mean", 0.02 / (layer + 1)), ("gap_max", 0.07), ("effect", 0.3 / (layer + 1)),
            ("endpoint", 0.016 / (layer + 1)), ("rest_mean", 0.004 / (layer + 1)),
            ("rest_p50", 0.003 / (layer + 1)), ("rest_p90", 0.009), ("rest_max", 0.05),
            ("probability", 0.7),
        )
    ]  # fmt: skip


def frame_of(rows: list[dict[str, Any]], schema: Any) -> pl.DataFrame:
    """Rows that may lack columns as the table that a stage would write."""
    return tables.gathered([pl.DataFrame(rows, infer_schema_length=None)] if rows else [], schema)


def only(**rows: list[dict[str, Any]]) -> Any:
    """As much of a run as a section of the page asks for: these tables and no others."""
    return SimpleNamespace(
        tables={name: frame_of(rows.get(name, []), of) for name, of in EXPERIMENTS.items()},
        spec=spec(),
        tasks=(),
        files={},
    )


def write_run(
    root: Path,
    changes: dict[str, Any] | None = None,
    replaced: dict[str, list[dict[str, Any]]] | None = None,
) -> Job:
    """Write the input files of the stage under `root`.

    Args:
        root: an empty folder.
        changes: keys of the settings to replace.
        replaced: rows of whole tables to replace, by name.
    """
    contents = {
        "agreement": (agreement(), AGREEMENT), "neurons": (neurons(), NEURONS),
        "base": (base(), BASE), "samples": (samples(), SAMPLES),
        "completeness": (completeness(), COMPLETENESS),
    }  # fmt: skip
    # Tables of experiments are there where the run has them.
    contents |= {
        name: ([], schema) for name, schema in EXPERIMENTS.items() if name in (replaced or {})
    }
    inputs: dict[str, list[Path]] = {}
    for name, (rows, schema) in contents.items():
        rows = (replaced or {}).get(name, rows)
        path = root / "tables" / f"{name}.parquet"
        origin = {"stage": f"tabulate_{name}", "spec": {}, "code": "0123456789abcdef", "inputs": {}}
        tables.write_part(frame_of(rows, schema), path, origin)
        inputs[name] = [path]
    settings = spec(**(changes or {}))
    inputs["models"] = [_manifest(root, model) for model in settings["models"]]
    inputs["losses"] = [_loss(root, model) for model in settings["models"]]
    inputs["splits"] = [root / "samples" / "disjoint.json"]
    store.write_json({"pairs": SPLIT_PAIRS}, inputs["splits"][0])
    code = "feedfeedfeedfeed"
    outputs = {"report": root / "report.html", "figures": root / "figures" / "manifest.json"}
    return Job("write_report", settings, code, inputs, outputs)


def _manifest(root: Path, model: str) -> Path:
    path = root / "models" / model / "manifest.json"
    weights = path.parent / "hf/model.safetensors"
    store.write_text("weights", weights)
    store.write_json(
        {
            "model": model, "path": "hf", "repo": None, "revision": None,
            "architecture": "LlamaForCausalLM", "family": "llama", "n_layers": LAYERS,
            "n_neurons": WIDTH, "n_parameters": 812_544, "dtype": "float32",
            "files": {weights.name: file_digest(weights)},
            "trained": {"steps": 1000, "precision": "float32", "tokens": 900_000},
        },
        path,
    )  # fmt: skip
    return path


def _loss(root: Path, model: str) -> Path:
    path = root / "models" / model / "loss.parquet"
    rng = random.Random(0)
    steps = list(range(1000))
    table = pa.table({
        "step": pa.array(steps, pa.int32()),
        "loss": [3.0 / (1 + s / 60) + 0.1 * rng.random() for s in steps],
        "learning_rate": [0.003 for _ in steps],
    })  # fmt: skip
    store.write_table(table, path, {"origin": {"spec": {"model": model}}})
    return path


def as_json(job: Job) -> str:
    """Settings and input digests of a job, to compare two runs."""
    return json.dumps([job.spec, {n: [file_digest(p) for p in q] for n, q in job.inputs.items()}])

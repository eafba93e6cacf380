"""Two small finished runs, written as the workflow writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from caploc.config import check
from caploc.files import store

REPOSITORY = Path(__file__).resolve().parents[2]
ERASURE = [
    {"model": "m", "dataset": "emotions", "mask": "s6", "sigma": 6.0, "control": "", "neuron": None,
     "metric": "accuracy", "value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 40, "role": "primary"},
    {"model": "m", "dataset": "reviews", "mask": "s6", "sigma": 6.0, "control": "", "neuron": None,
     "metric": "accuracy", "value": 0.75, "ci_low": None, "ci_high": None, "n": 40, "role": ""},
    {"model": "m", "dataset": "reviews", "mask": "s6", "sigma": 6.0, "control": "", "neuron": 7,
     "metric": "score", "value": 0.1, "ci_low": None, "ci_high": None, "n": None, "role": ""},
]  # fmt: skip


@pytest.fixture
def finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``finish(name, model, rows, sigma=6.0)``: a run with the table erasure, or without any."""
    monkeypatch.chdir(tmp_path)

    def make(
        name: str, model: str, rows: list[dict[str, Any]] | None = None, sigma: float = 6.0
    ) -> Path:
        config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
        config["run"] |= {"name": name, "models": [model], "experiments": ["erasure"]}
        config["models"][model] = {"family": "llama", "path": f"/models/{model}"}
        config["masks"]["s6"]["sigma"] = sigma
        folder = Path("results") / name
        store.write_json(check(config), folder / "config.json")
        if rows is not None:
            told = [row | {"model": model, "sigma": sigma} for row in rows]
            table = pa.Table.from_pylist(told)
            store.write_table(table, folder / "tables" / "erasure.parquet", {})
        return folder

    return make

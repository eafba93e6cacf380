"""Configurations as the tests use them."""

from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]


def read_config(name: str) -> dict[str, Any]:
    """A file of the repository, by its path there."""
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / name).read_text())
    return found


def merged(base: Any, over: Any) -> Any:
    """One laid over the other, as Snakemake does: dictionaries are merged, lists replaced."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merged(base.get(key), value) for key, value in over.items()}


def embedded() -> dict[str, Any]:
    """The run of the model that is trained here: it has every kind of job."""
    return merged(read_config("config.yaml"), read_config("config/embedded.yaml"))

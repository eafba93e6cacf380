"""Settings of the run as lines of text, in all and by section of the page."""

import json
from collections.abc import Mapping
from typing import Any

from caploc import plugins

__all__ = ["flat", "used_settings"]

_AGREEMENT = (
    "methods", "masks", "headline_mask", "splits", "shuffled", "mixture", "neutral", "seed",
    "minimum_samples",
)  # fmt: skip


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, JSON value); lists of plain values stay on one line."""
    if isinstance(value, Mapping) and value:
        return [
            line
            for key in sorted(value)
            for line in flat(value[key], f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, json.dumps(value, ensure_ascii=False, sort_keys=True))]


def used_settings(config: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """What the sections were run with: by experiment, and for `agreement` and `methods`.

    Args:
        config: the whole checked configuration.
    """
    run = config.get("run", {})
    experiments = config.get("experiments", {})
    found = {name: flat(experiments.get(name, {})) for name in plugins.declared("TABLES")}
    found["agreement"] = [(f"run.{k}", json.dumps(run[k])) for k in _AGREEMENT if k in run]
    used = {name: config.get("methods", {}).get(name, {}) for name in run.get("methods", [])}
    found["methods"] = flat(used)
    return {name: [line for line in lines if line[0]] for name, lines in found.items()}

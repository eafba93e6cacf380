"""Manifests of model folders, for stages that load one."""

from pathlib import Path
from typing import Any

from caploc.files import store


def write_manifest(path: Path, folder: Path, **facts: Any) -> None:
    """What `fetch_model` says of a model, as far as stages that run it read it."""
    from caploc.models.loading import read_architecture
    from caploc.models.recognition import config_width

    config, family = read_architecture(folder)
    sizes = {"n_layers": config.num_hidden_layers, "n_neurons": config_width(config, family)}
    store.write_json({"path": str(folder), "family": family.name} | sizes | facts, path)

"""Trained slices as a file of their own: small, and only for the model they were trained on.

A safetensors file: the trained tensors, the neurons they belong to (``mask.layer``,
``mask.neuron``), and as metadata the model (repository, commit, digest of its weight files), the
grid, the part of the slices, and whatever facts the writer adds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from caploc.files.atomic import atomic_path
from caploc.interventions.slices import Slices
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["Delta", "put", "read_delta", "read_tensors", "write_delta", "write_tensors"]

_KEY = "caploc"
_LAYER, _NEURON = "mask.layer", "mask.neuron"


@dataclass(frozen=True, slots=True)
class Delta:
    """Trained slices of one model.

    Attributes:
        mask: (layer, neuron) True where the slices belong.
        values: tensors by name, as `Slices.values`.
        facts: ``model``, ``part``, ``n_layers``, ``n_neurons`` and what the writer added.
    """

    mask: NDArray[np.bool_]
    values: dict[str, Tensor]
    facts: dict[str, Any]

    def save(self, path: str | Path) -> None:
        """Write a file that `read_delta` and ``caploc apply --delta`` read.

        Raises:
            DataError: the file cannot be written.
        """
        layers, neurons = np.nonzero(self.mask)
        tensors = self.values | {
            _LAYER: torch.from_numpy(layers.astype(np.int32)),
            _NEURON: torch.from_numpy(neurons.astype(np.int32)),
        }
        grid = {"n_layers": self.mask.shape[0], "n_neurons": self.mask.shape[1]}
        write_tensors(Path(path), tensors, {**self.facts, **grid})


def write_delta(
    path: Path, slices: Slices, mask: NDArray[np.bool_], part: str, model: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:  # fmt: skip
    """Save the present values of slices.

    Args:
        path: file to make.
        slices: what was trained.
        mask: (layer, neuron) the neurons they belong to.
        part: ``both``, ``in`` or ``out``.
        model: identity of the model before training: repo, revision, weights.
        facts: anything else that JSON can hold.

    Raises:
        DataError: the file cannot be written.
    """
    values = {name: value.detach() for name, value in slices.values.items()}
    Delta(mask, values, {**facts, "model": dict(model), "part": part}).save(path)


def read_delta(path: str | Path) -> Delta:
    """Read what `write_delta` or `Delta.save` wrote.

    Raises:
        DataError: no such file, damaged, or not a file of trained slices.
    """
    path = Path(path)
    tensors, facts = read_tensors(path)
    if "not_computed" in facts:
        raise DataError(f"{path}: holds no trained slices: {facts['not_computed']}")
    try:
        mask = np.zeros((facts["n_layers"], facts["n_neurons"]), dtype=np.bool_)
        mask[tensors.pop(_LAYER).numpy(), tensors.pop(_NEURON).numpy()] = True
        facts["model"], facts["part"]
    except (KeyError, IndexError) as error:
        raise DataError(f"{path}: holds no trained slices ({error} is missing or wrong)") from None
    return Delta(mask, tensors, facts)


def put(lm: LanguageModel, delta: Delta) -> None:
    """Write trained slices into a model for good.

    Raises:
        DataError: another grid, or tensors that do not fit.
    """
    slices = Slices(lm, delta.mask, delta.facts["part"])
    wanted = {name: tuple(value.shape) for name, value in slices.values.items()}
    found = {name: tuple(value.shape) for name, value in delta.values.items()}
    if wanted != found:
        name = next(n for n in {**wanted, **found} if wanted.get(n) != found.get(n))
        raise DataError(
            f"trained slices: {name} has shape {found.get(name)}, this model needs "
            f"{wanted.get(name)}; they belong to another model"
        )
    with torch.no_grad():
        for name, value in slices.values.items():
            value.copy_(delta.values[name])
    slices.write()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Save tensors and facts atomically.

    Raises:
        DataError: the disk is full or the folder cannot be written; an earlier file stays.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with atomic_path(path) as temporary:
            save_file(contiguous, temporary, {_KEY: json.dumps(facts, sort_keys=True)})
    except (OSError, SafetensorError) as error:
        size = sum(tensor.nbytes for tensor in contiguous.values()) / 2**20
        raise DataError(
            f"{path}: cannot be written ({error}); it needs {size:.0f} MiB. Free space and run the "
            "same command again: finished work is kept"
        ) from None


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a file.

    Raises:
        DataError: no such file, damaged, or not written by caploc.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            facts = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: damaged file ({error}); delete it and run again") from None
    if facts is None:
        raise DataError(f"{path}: carries no caploc metadata, so nobody knows what made it")
    return tensors, json.loads(facts)

"""Where a training was after a step: enough to go on to the same bytes.

A checkpoint is ``step-<n>.safetensors`` (weights, state of the optimiser, random state) and
``checkpoint.json``, written after it, with its digest and the reports of all steps so far. The
batches are drawn from the seed, so the number of steps is the position in the data.
"""

import logging
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.records import DataError
from caploc.training.optimisation import Step

__all__ = ["restore", "save"]

_LOG = logging.getLogger(__name__)
_NAME = "checkpoint.json"
_RANDOM = "random_state"


def save(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, steps: list[Step]
) -> None:
    """Write a checkpoint, then remove the one before it.

    Args:
        folder: of this training alone.
        model: as it is after the last step.
        optimiser: of its parameters.
        steps: reports of all steps so far.
    """
    tensors = {_RANDOM: torch.get_rng_state()}
    for name, parameter in model.named_parameters():
        tensors[f"weight.{name}"] = parameter.detach().contiguous()
        for key, value in optimiser.state[parameter].items():
            tensors[f"{key}.{name}"] = value.contiguous()
    weights = folder / f"step-{len(steps):06d}.safetensors"
    with store.atomic_path(weights) as path:
        save_file(tensors, path)
    facts = {
        "file": weights.name,
        "sha256": file_digest(weights),
        "steps": [asdict(step) for step in steps],
    }
    store.write_json(facts, folder / _NAME)
    for old in folder.glob("step-*.safetensors"):
        if old != weights:
            old.unlink()


@torch.no_grad()
def restore(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> list[Step]:
    """Put model, optimiser and random numbers where the checkpoint was.

    Returns:
        Reports of the steps that are done; none if there is no checkpoint, or a damaged one.
    """
    if not (folder / _NAME).is_file():
        return []
    try:
        facts = store.read_json(folder / _NAME)
        weights = folder / facts["file"]
        if file_digest(weights) != facts["sha256"]:
            raise DataError(f"{weights}: its content is not what was saved")
        tensors = load_file(weights)
        steps = [Step(**step) for step in facts["steps"]]
    except (DataError, SafetensorError, KeyError, TypeError) as error:
        _LOG.warning("the checkpoint cannot be used, training begins anew: %s", error)
        return []
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[f"weight.{name}"])
        optimiser.state[parameter] = {
            key.partition(".")[0]: value
            for key, value in tensors.items()
            if key.partition(".")[2] == name and not key.startswith("weight.")
        }
    torch.set_rng_state(tensors[_RANDOM])
    _LOG.info("going on after step %d", len(steps))
    return steps

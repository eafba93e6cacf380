"""Where a training was after a step: enough to go on to the same bytes.

A checkpoint is one file: weights, state of the optimiser, random state and, as its metadata, the
reports of all steps so far. It lies in the partial work of the job, which vouches for its content.
The batches are drawn from the seed, so the number of steps is the position in the data.
"""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from caploc.jobs.partial_work import sealed
from caploc.training.optimisation import Step

__all__ = ["restore", "save"]

_LOG = logging.getLogger(__name__)
_NAME = "checkpoint.safetensors"
_RANDOM = "random_state"


def save(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, steps: list[Step]
) -> None:
    """Write a checkpoint in place of the one before it.

    Args:
        folder: of the partial work of the job.
        model: as it is after the last step.
        optimiser: of its parameters.
        steps: reports of all steps so far.
    """
    tensors = {_RANDOM: torch.get_rng_state()}
    for name, parameter in model.named_parameters():
        tensors[f"weight.{name}"] = parameter.detach().contiguous()
        for key, value in optimiser.state[parameter].items():
            tensors[f"{key}.{name}"] = value.contiguous()
    with sealed(folder / _NAME) as path:
        save_file(tensors, path, {"steps": json.dumps([asdict(step) for step in steps])})


@torch.no_grad()
def restore(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> list[Step]:
    """Put model, optimiser and random numbers where the checkpoint was.

    Returns:
        Reports of the steps that are done; none if there is no checkpoint.
    """
    if not (folder / _NAME).is_file():
        return []
    with safe_open(folder / _NAME, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        steps = [Step(**step) for step in json.loads(file.metadata()["steps"])]
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

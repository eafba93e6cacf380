"""Passes of fidelity: none with a model, grids of neurons that are compared."""

from caploc.estimate.passes import (
    numbers,
)  # fmt: skip
from caploc.estimate.run import Run
from caploc.estimate.work import Stage

__all__ = ["cost"]

_PROMPTS = 3
"""Prompts of a fact that are located: the original, a rewrite of two kinds."""


def cost(run: Run) -> list[Stage]:
    """Stages of fidelity, where the run has it."""
    return _measured(run) if run.has("fidelity") else []


def _measured(run: Run) -> list[Stage]:
    settings = run.settings("fidelity")
    n = sum(run.config["facts"][name]["n"] for name in settings["facts"])
    grids = n * _PROMPTS * (settings["n_draws"] + settings["partners"]) * run.shape.neurons
    jobs = len(settings["locators"]) * len(settings["facts"])
    return [
        numbers("tabulate_tracing", 1),
        numbers("measure_fidelity", jobs, grids, host=n * _PROMPTS * run.shape.neurons),
        numbers("measure_kn_on_tasks", 1, grids * settings["task_samples"] / n / _PROMPTS),
    ]

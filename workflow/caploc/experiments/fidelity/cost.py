"""What fidelity costs: no pass of a model, since located sets are compared on file."""

from caploc.estimate.passes import Run
from caploc.estimate.work import Stage, numbers

__all__ = ["cost"]


def cost(run: Run) -> list[Stage]:
    """Stages of fidelity, where the run has it."""
    if not run.has("fidelity"):
        return []
    settings = run.settings("fidelity")
    return [
        numbers("tabulate_tracing", 1),
        numbers("measure_fidelity", len(settings["locators"]) * len(settings["facts"])),
        numbers("measure_kn_on_tasks", 1),
    ]

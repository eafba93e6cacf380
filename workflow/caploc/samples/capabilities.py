"""Which capability each task of a run stands for."""

from collections.abc import Mapping, Sequence
from typing import Any

from caploc import plugins

__all__ = ["capabilities"]


def capabilities(tasks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Capability of each task by id: the one the settings name, else that of its plug-in.

    Args:
        tasks: ``id``, ``plugin`` and ``capability`` (or null) of each; the order is kept.
    """
    return {
        entry["id"]: entry["capability"] or plugins.load("tasks", entry["plugin"]).TASK.capability
        for entry in tasks
    }

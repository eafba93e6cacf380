"""Pieces of work that stages are made of, and how long they take.

    seconds = start-up x jobs + operations / (rate x efficiency) + calls x blocks x overhead

and no call is faster than the memory delivers the weights. Efficiency and overhead depend on the
kind of work; efficiency falls with the hidden size h as h / (h + narrow). That is a simple model:
it knows nothing of caches, padding or contention.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

from caploc.estimate.devices import Device

_TWO_THREADS = 1.3
"""How much faster two threads are than one (`attribution.json`: 33.8 to 26.3 samples/s)."""

__all__ = ["Kind", "Stage", "Work"]

Kind = Literal["rows", "passes", "training", "generation"]
"""Attribution; forward passes of many tokens; forward, backward and step; token after token."""


@dataclass(frozen=True, slots=True)
class Work:
    """Work of one kind.

    Attributes:
        kind: see `Kind`.
        operations: floating-point operations.
        calls: calls of the whole model, a backward pass counts as two.
        blocks: decoder blocks in a call.
        weights: bytes of the weights that a call reads.
        hidden: width of the model.
        threads: processor threads of the job.
    """

    kind: Kind
    operations: float
    calls: float = 0.0
    blocks: int = 0
    weights: float = 0.0
    hidden: float = inf
    threads: int = 1

    def seconds(self, device: Device) -> float:
        """Time on one device."""
        wide = 1 / (1 + device.narrow / self.hidden)
        busy = self.operations / (device.rate * device.efficiency[self.kind] * wide)
        waiting = self.calls * self.weights / device.bandwidth
        seconds = max(busy, waiting) + self.calls * self.blocks * device.overhead[self.kind]
        return seconds / (_TWO_THREADS if self.threads > 1 and device.memory is None else 1)


@dataclass(frozen=True, slots=True)
class Stage:
    """All jobs of one rule.

    Attributes:
        name: of the rule.
        jobs: number.
        work: of all jobs together.
        accelerator: bytes there at most, or None where the stage needs none.
        host: bytes of memory at most.
        disk: bytes that stay.
        scratch: further bytes of disk while it runs.
        measured: seconds that all its jobs took in an earlier run, where that is known.
    """

    name: str
    jobs: int
    work: tuple[Work, ...] = ()
    accelerator: float | None = None
    host: float = 0.0
    disk: float = 0.0
    scratch: float = 0.0
    measured: float | None = None

    @property
    def operations(self) -> float:
        """Floating-point operations of all jobs."""
        return sum(w.operations for w in self.work)

    def seconds(self, device: Device) -> float:
        """Time of all jobs, one after another."""
        if self.measured is not None:
            return self.measured
        start = device.start_up if self.accelerator is not None else device.start_up_numbers
        return self.jobs * start + sum(w.seconds(device) for w in self.work)

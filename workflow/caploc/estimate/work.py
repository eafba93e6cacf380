"""What is computed, counted, and the stage that computes it.

seconds = start-up x jobs + operations / rate + bytes read / bandwidth + calls x overhead
"""

from dataclasses import dataclass

from caploc.estimate.devices import Device

__all__ = ["Stage", "Work", "numbers"]

_NUMBERS = 150 * 2**20
"""Memory of a job without a model."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed; works can be added, and repeated by a number.

    Attributes:
        operations: floating-point operations.
        calls: calls of one block; a backward pass counts as two.
        moved: bytes of weights, keys and values that the calls read.
    """

    operations: float = 0.0
    calls: float = 0.0
    moved: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        """Both, one after the other."""
        return Work(self.operations + other.operations, self.calls + other.calls,
                    self.moved + other.moved)  # fmt: skip

    def __mul__(self, times: float) -> "Work":
        """The same, several times."""
        return Work(self.operations * times, self.calls * times, self.moved * times)

    def seconds(self, device: Device) -> float:
        """Time on one device."""
        busy = self.operations / device.rate + self.moved / device.bandwidth
        return busy + self.calls * device.overhead


@dataclass(frozen=True, slots=True)
class Stage:
    """All jobs of one rule.

    Attributes:
        name: of the rule.
        jobs: number.
        work: of all jobs together.
        accelerator: bytes there at most, or None where the stage needs no model.
        host: bytes of memory at most.
        disk: bytes that stay.
        scratch: further bytes of disk while it runs.
        measured: seconds that all its jobs took in an earlier run, where that is known.
    """

    name: str
    jobs: int
    work: Work = Work()
    accelerator: float | None = None
    host: float = _NUMBERS
    disk: float = 0.0
    scratch: float = 0.0
    measured: float | None = None

    def seconds(self, device: Device) -> float:
        """Time of all jobs, one after another."""
        if self.measured is not None:
            return self.measured
        start = device.start_up if self.accelerator is not None else device.start_up_numbers
        return self.jobs * start + self.work.seconds(device)


def numbers(name: str, jobs: int, disk: float = 0.0) -> Stage:
    """A stage without a model, as its start-up: the rest is below 2 % of each run in `config`."""
    return Stage(name, jobs, disk=disk)

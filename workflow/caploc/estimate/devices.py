"""How fast devices are: measured where a benchmark was run, else the maker's peak times a share.

The CPU numbers are of the machine that `benchmarks/results` describes (AMD EPYC with AVX2, float32,
one thread): the matrix rate from `attribution.json` and its neighbours, the rest from
`plan.json`. No GPU was measured: those lines take dense peaks in 16 bits and memory bandwidths from
the makers' data sheets.
"""

from dataclasses import dataclass, field, replace

from caploc.records import DataError

__all__ = ["DEVICES", "Device", "device_named"]

_KINDS = ("rows", "passes", "training", "generation")
_SHARE = 0.35
"""Of the peak that a GPU is assumed to reach in large products of this kind of work."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device, or one processor thread.

    Attributes:
        name: as asked for.
        source: where the rate comes from, for people.
        rate: floating-point operations in a second, large matrix products.
        bandwidth: bytes in a second from its memory.
        memory: bytes, None for a processor.
        overhead: seconds of a call of one block beside its products, by kind of work.
        narrow: hidden size at which half of the efficiency is left; narrow products are slower.
        start_up: seconds until a job has loaded its libraries and a small model.
        start_up_numbers: the same for a job that needs neither torch nor a model.
        efficiency: share of `rate` by kind of work.
    """

    name: str
    source: str
    rate: float
    bandwidth: float
    memory: float | None
    overhead: dict[str, float]
    narrow: float = 0.0
    start_up: float = 5.5
    start_up_numbers: float = 1.0
    efficiency: dict[str, float] = field(
        default_factory=lambda: {"rows": 0.75, "passes": 0.75, "training": 0.6, "generation": 0.5}
    )


def _gpu(name: str, teraflops: float, gib: float, bandwidth: float) -> Device:
    """A GPU by its data sheet; rates in 1e12, bandwidth in 1e12 bytes."""
    return Device(
        name,
        f"not measured: maker's peak of {teraflops:g} TFLOP/s in 16 bits x {_SHARE:g}",
        teraflops * 1e12,
        bandwidth * 1e12,
        gib * 2**30,
        overhead=dict.fromkeys(_KINDS, 2e-4) | {"generation": 1e-3},
        start_up=20.0,
        efficiency=dict.fromkeys(_KINDS, _SHARE),
    )


DEVICES: dict[str, Device] = {
    d.name: d
    for d in (
        Device(
            "cpu", "measured: one thread, AMD EPYC with AVX2, float32 (benchmarks/results)",
            9.3e10, 1e10, None, narrow=48,
            overhead=dict.fromkeys(_KINDS, 3e-4) | {"generation": 1.5e-3},
        ),
        _gpu("a100-40", 312, 40, 1.555),
        _gpu("a100-80", 312, 80, 2.0),
        _gpu("h100", 989, 80, 3.35),
        _gpu("h200", 989, 141, 4.8),
        _gpu("l40s", 362, 48, 0.864),
        _gpu("rtx4090", 165, 24, 1.008),
    )
}  # fmt: skip


def device_named(name: str | None, flops: float | None = None) -> Device:
    """A device of the table, or one with a rate of your own.

    Args:
        name: in `DEVICES`; None for the processor.
        flops: measured floating-point operations in a second of this kind of work, which then
            stand as they are.

    Raises:
        DataError: no such device; the message lists those there are.
    """
    device = DEVICES.get((name or "cpu").lower())
    if device is None:
        raise DataError(
            f"--device {name}: no rate is known; known: {', '.join(DEVICES)}; or name the nearest "
            "and give a rate of your own with --flops (operations in a second that attribution "
            "reaches)"
        )
    if flops is None:
        return device
    if not 0 < flops < 1e18:
        raise DataError(f"--flops {flops:g}: expected operations in a second, such as 3e14")
    share = dict.fromkeys(device.efficiency, 1.0)
    return replace(device, rate=flops, source="--flops", efficiency=share)

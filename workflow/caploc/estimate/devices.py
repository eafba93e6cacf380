"""How fast devices are: measured where a benchmark was run, else the maker's peak times a share.

The CPU numbers are of the machine that `benchmarks/results` describes (AMD EPYC with AVX2, float32,
one thread): `attribution.json` and its neighbours, `plan.json`. No GPU was measured: those lines
take dense peaks in 16 bits and memory bandwidths from the makers' data sheets.
"""

from dataclasses import dataclass, replace

from caploc.records import DataError

__all__ = ["DEVICES", "SHARE", "Device", "device_named"]

SHARE = 0.35
"""Of the peak that a GPU is assumed to reach in large products of this kind of work."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device, or one processor thread.

    Attributes:
        name: as asked for.
        source: where the rate comes from, for people.
        rate: floating-point operations in a second that the passes of a model reach.
        bandwidth: bytes in a second from its memory.
        memory: bytes, None for a processor.
        overhead: seconds of a call of one block beside its products.
        start_up: seconds until a job has loaded its libraries and a small model.
        start_up_numbers: the same for a job that needs neither torch nor a model.
    """

    name: str
    source: str
    rate: float
    bandwidth: float
    memory: float | None
    overhead: float
    start_up: float
    start_up_numbers: float = 1.0


_GPUS = {
    "a100-40": (312, 40, 1.555), "a100-80": (312, 80, 2.0), "h100": (989, 80, 3.35),
    "h200": (989, 141, 4.8), "l40s": (362, 48, 0.864), "rtx4090": (165, 24, 1.008),
}  # fmt: skip
"""Data sheets: peak in 1e12 operations a second, GiB, bandwidth in 1e12 bytes a second."""

DEVICES: dict[str, Device] = {
    "cpu": Device(
        "cpu", "measured: one thread, AMD EPYC with AVX2, float32 (benchmarks/results)",
        5.2e10, 1e10, None, overhead=3e-4, start_up=6.0,
    )
} | {
    name: Device(
        name, f"not measured: maker's peak of {peak:g} TFLOP/s in 16 bits x {SHARE:g}",
        peak * 1e12 * SHARE, bandwidth * 1e12, gib * 2**30, overhead=2e-4, start_up=20.0,
    )
    for name, (peak, gib, bandwidth) in _GPUS.items()
}  # fmt: skip


def device_named(name: str | None, flops: float | None = None) -> Device:
    """A device of the table, or one with a rate of your own.

    Args:
        name: in `DEVICES`; None for the processor.
        flops: measured floating-point operations in a second of this kind of work.

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
    return replace(device, rate=flops, source="--flops")

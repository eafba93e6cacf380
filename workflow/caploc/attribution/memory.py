"""How many bytes a computation may take, and whether an error says that there were not enough."""

import os
from pathlib import Path

import torch

from caploc.models.language_model import LanguageModel

__all__ = [
    "budget_bytes",
    "budget_text",
    "free_bytes",
    "is_out_of_memory",
    "release",
    "use_huge_pages",
]

# The rest is for other processes, scratch memory of kernels and what an allocator cannot reuse.
_SHARE = {"cpu": 0.5, "cuda": 0.85}
_MESSAGES = ("out of memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")
_CGROUP, _GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def budget_bytes(lm: LanguageModel, memory_bytes: int | None) -> int | None:
    """Bytes that tensors beside the weights may take.

    Args:
        lm: the model, already in memory.
        memory_bytes: the budget, at least 1; None takes half of the free memory of the host, or
            85 % of that of an accelerator.

    Returns:
        The budget; None if nothing says how much memory is free.

    Raises:
        ValueError: a budget below 1.
    """
    if memory_bytes is not None:
        if memory_bytes < 1:
            raise ValueError(f"memory_bytes must be at least 1, found {memory_bytes}")
        return memory_bytes
    # A spread model has blocks, and so the rows in them, on several devices.
    devices = {p.device for p in lm.model.parameters() if p.device.type != "meta"} | {lm.device}
    found = [(free_bytes(device), device.type) for device in devices]
    known = [int(n * _SHARE.get(kind, _SHARE["cuda"])) for n, kind in found if n is not None]
    return min(known) if known else None


def free_bytes(device: torch.device) -> int | None:
    """Memory of a device that can still be taken, in bytes; None if that is not known."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + kept
    if device.type != "cpu":
        return None
    found = [_available(), _left_of_group()]
    return min((n for n in found if n is not None), default=None)


def _available() -> int | None:
    """What the operating system would give without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(s.split()[1]) for s in lines if s.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        names = getattr(os, "sysconf_names", {})
        if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(names):
            return None
        # Unknown how much of it is taken: half.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _left_of_group() -> int | None:
    """What a container or a batch system leaves to this process."""
    try:
        groups = _GROUPS.read_text().splitlines()
        path = next(line[3:] for line in groups if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    left = []
    folder = _CGROUP / path.lstrip("/")
    for place in (folder, *folder.parents):
        try:
            limit = (place / "memory.max").read_text().strip()
            used = int((place / "memory.current").read_text())
            cache = (place / "memory.stat").read_text().splitlines()
            # Pages of files are given back when memory is wanted.
            used -= next(int(s.split()[1]) for s in cache if s.startswith("inactive_file "))
        except (OSError, ValueError, StopIteration):
            continue
        if limit != "max":
            left.append(max(int(limit) - used, 0))
    return min(left, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on an accelerator or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MESSAGES)


def release(device: torch.device) -> None:
    """Give back what the allocator of a device keeps for itself."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def use_huge_pages() -> None:
    """Let torch put tensors of 2 MiB and more on huge pages, where Linux has them.

    Rows of many layers are a few large tensors that come and go; a page fault for every 4 KiB of
    them costs a small model a tenth of its time (`benchmarks/huge_pages.py`). Numbers stay the
    same, bit for bit. Torch looks only once, so this has no effect after the first tensor of the
    process; a value of ``THP_MEM_ALLOC_ENABLE`` that the user has set stays.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def budget_text(n: int) -> str:
    """Bytes for a message."""
    return f"{n / 2**20:,.0f} MiB" if n >= 2**24 else f"{n:,} bytes"

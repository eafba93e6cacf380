"""How a stage that runs a model uses the processor: threads, and the faster of two libraries.

Torch forms products of float32 matrices with MKL. On processors of AMD, MKL uses AVX2 even where
the processor has AVX512, and takes more than twice as long as oneDNN, which comes with torch as
well (measured: `benchmarks/products.py`). `use_onednn` lets torch call oneDNN for them, forward and
backward. Both sum in float32, in another order; every other type of number, and small matrices,
stay as they are.
"""

import functools
import warnings
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["mkl_is_slow", "use_onednn", "use_processor"]

_CPUINFO = Path("/proc/cpuinfo")
_FEWEST = 2**20
"""Multiplications below which a call through Python costs more than it saves."""


def use_processor(threads: int) -> None:
    """Let torch use as many threads as the job has, and the faster of its two libraries.

    Args:
        threads: of one product or other operation, from 1.
    """
    torch.set_num_threads(threads)
    if mkl_is_slow():
        use_onednn()


def mkl_is_slow() -> bool:
    """Whether the processor has AVX512 and is one for which MKL does not use it."""
    both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    if not both or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    try:
        return "AuthenticAMD" in _CPUINFO.read_text(encoding="utf-8")
    except OSError:  # not Linux
        return False


@functools.cache
def use_onednn() -> torch.library.Library:
    """From now on, products of large float32 matrices in this process are oneDNN's.

    Returns:
        The registration, which lives as long as the process.
    """
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that its own product is replaced
        library.impl("mm", _mm, "CPU")
        library.impl("addmm", _addmm, "CPU")
    return library


def _suits(a: Tensor, b: Tensor) -> bool:
    if a.dtype != torch.float32 or b.dtype != torch.float32 or a.dim() != 2 or b.dim() != 2:
        return False
    (rows, inner), (same, columns) = a.shape, b.shape
    return inner == same and rows * inner * columns >= _FEWEST


def _onednn(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")


def _mm(a: Tensor, b: Tensor) -> Tensor:
    if _suits(a, b):
        return _onednn(a, b, None)
    # The form that writes into a given tensor is another operator, and still torch's own.
    return torch.mm(a, b, out=a.new_empty(0))


def _addmm(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    plain = beta == 1 and alpha == 1 and c.dtype == torch.float32
    if plain and _suits(a, b) and c.shape == b.shape[1:]:
        return _onednn(a, b, c)
    return torch.addmm(c, a, b, beta=beta, alpha=alpha, out=a.new_empty(0))

"""How a stage that runs a model uses the processor."""

import torch

from caploc.forward.products import mkl_is_slow, use_onednn

__all__ = ["use_processor"]


def use_processor(threads: int) -> None:
    """Let torch use as many threads as the job has, and the faster of its two libraries.

    Args:
        threads: of one product or other operation, from 1.
    """
    torch.set_num_threads(threads)
    if mkl_is_slow():
        use_onednn()

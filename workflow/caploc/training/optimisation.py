"""The training loop of the embedded model: AdamW, warm-up, cosine, answer tokens.

Whoever trains otherwise (neurons silenced, gradients routed) opens a context around every pass, see
`Within`.

The rows of a batch are cut into two halves whose gradients are added. On two processors a thread
takes each half: threads that meet once a step are faster here than threads that share every small
matrix product, and hardly suffer from other work on the machine. One thread does the same sums.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from caploc.catalogues.training import Architecture
from caploc.training.packing import IGNORED, Packed

__all__ = [
    "Step",
    "Within",
    "build_model",
    "build_optimiser",
    "learning_rate",
    "native_bfloat16",
    "optimise",
    "unchanged",
]

Within = Callable[[Any, slice], AbstractContextManager[Any]]
"""What is open while some rows of a batch pass through the model, in the thread that passes them;
batches are `Packed`, or a class of the trainer built on it."""
_CLIP = 1.0
_WEIGHT_DECAY = 0.01
_PARTS = 2
_FINAL_SHARE = 0.02
"""The cosine ends at this share of the peak learning rate."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimiser step reports.

    Attributes:
        loss: mean over the learned tokens, in nats.
        learning_rate: rate of this step.
        n_tokens: tokens read, without padding and beginnings of text.
    """

    loss: float
    learning_rate: float
    n_tokens: int


def build_model(
    architecture: Architecture, tokenizer: PreTrainedTokenizerFast, seed: int
) -> LlamaForCausalLM:
    """A Llama model with random weights that the seed decides.

    Args:
        architecture: sizes.
        tokenizer: gives the vocabulary size and the special ids.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=architecture.hidden,
            intermediate_size=architecture.ffn,
            num_hidden_layers=architecture.layers,
            num_attention_heads=architecture.heads,
            num_key_value_heads=architecture.kv_heads,
            max_position_embeddings=architecture.context,
            initializer_range=architecture.hidden**-0.5 / 2,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear warm-up to `peak`, then a cosine down to a fiftieth of it.

    Args:
        step: 0 to steps - 1.
        steps: number of steps.
        peak: highest rate, reached after `warmup` steps.
        warmup: steps of the linear part.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return peak * (_FINAL_SHARE + (1 - _FINAL_SHARE) * cosine)


def native_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; emulated, it is slower than float32."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    words = set(text.split())
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def build_optimiser(model: LlamaForCausalLM, peak: float) -> torch.optim.AdamW:
    """AdamW over all parameters; vectors (norms, biases) do not decay."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": _WEIGHT_DECAY},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=peak,
        betas=(0.9, 0.98),
        fused=True,
    )


def unchanged(batch: Packed, rows: slice) -> AbstractContextManager[None]:
    """Nothing around a pass: the ordinary training."""
    return nullcontext()


def optimise(
    model: LlamaForCausalLM,
    batches: Iterable[Packed],
    steps: int,
    peak: float,
    warmup: int,
    bfloat16: bool,
    threads: int = 1,
    optimiser: torch.optim.AdamW | None = None,
    first: int = 0,
    within: Within = unchanged,
) -> Iterator[Step]:
    """Train the model in place, one batch a step.

    Args:
        model: float32 weights, on the device that shall do the work.
        batches: one for each step that is left.
        steps: number of steps, for the schedule.
        peak: highest learning rate.
        warmup: steps of linear warm-up.
        bfloat16: multiply in bfloat16; weights and optimiser state stay float32.
        threads: 2 or more compute the halves of a batch side by side; the results are the same.
            Leave one thread to each matrix product (``torch.set_num_threads(1)``).
        optimiser: from `build_optimiser`; None makes one.
        first: steps that were done before.
        within: what surrounds every pass.

    Yields:
        The report of each step, after it.
    """
    optimiser = build_optimiser(model, peak) if optimiser is None else optimiser
    parameters: list[torch.Tensor] = list(model.parameters())
    model.train()
    with ThreadPoolExecutor(max(1, min(threads, _PARTS))) as pool:
        for step, batch in enumerate(batches, first):
            rate = learning_rate(step, steps, peak, warmup)
            for group in optimiser.param_groups:
                group["lr"] = rate
            n_learned = int((batch.targets != IGNORED).sum())
            parts = [
                pool.submit(_gradients, model, parameters, batch, rows, n_learned, bfloat16, within)
                for rows in _halves(len(batch.ids))
            ]
            losses, gradients = zip(*(part.result() for part in parts), strict=True)
            # Added in the order of the rows, whichever thread was first.
            for parameter, *found in zip(parameters, *gradients, strict=True):
                parameter.grad = sum(found[1:], start=found[0])
            torch.nn.utils.clip_grad_norm_(parameters, _CLIP)
            optimiser.step()
            yield Step(math.fsum(losses), rate, int((batch.positions > 0).sum()))
    model.eval()


def _halves(n_rows: int) -> list[slice]:
    middle = (n_rows + 1) // _PARTS
    return [slice(0, middle), slice(middle, n_rows)][:n_rows]


def _gradients(
    model: LlamaForCausalLM,
    parameters: list[torch.Tensor],
    batch: Packed,
    rows: slice,
    n_learned: int,
    bfloat16: bool,
    within: Within,
) -> tuple[float, tuple[torch.Tensor, ...]]:
    """Share of some rows in the mean loss over the learned tokens of the batch, and its slope."""
    device = model.device
    targets = batch.targets[rows].to(device)
    # Only learned positions reach the vocabulary: most of a sequence is prompt.
    learned = targets != IGNORED
    # Each thread has its own autocast state.
    cast = torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()
    with within(batch, rows), cast:
        states = model.model(
            input_ids=batch.ids[rows].to(device),
            position_ids=batch.positions[rows].to(device),
            attention_mask=batch.mask[rows].to(device),
            use_cache=False,
        ).last_hidden_state
        logits = model.lm_head(states[learned])
    loss = torch.nn.functional.cross_entropy(logits.float(), targets[learned], reduction="sum")
    loss = loss / n_learned
    return loss.item(), torch.autograd.grad(loss, parameters)

"""Before the first use of a model: does it do what the shortcuts assume?

Compared with the blocks run in the ordinary way on six tokens: (1) removing the neurons of a block
removes exactly what its projection wrote (no norm or scale behind it), (2) norm and head give the
logits, (3) rows through the shared-prefix attention reproduce the ordinary stream. A model that
fails is refused: its scores would look reasonable and be wrong.
"""

from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from caploc.attribution.prefix_attention import use_prefix_attention
from caploc.attribution.recording import Sequence, record
from caploc.attribution.streams import forward_rows
from caploc.models._language_model import LanguageModel
from caploc.records import DataError

__all__ = ["check_model"]

_TOKENS = 6
_CHECKED: WeakSet[nn.Module] = WeakSet()


def check_model(lm: LanguageModel) -> None:
    """Compare the shortcuts with the model itself, once per loaded model.

    Raises:
        DataError: a shortcut is wrong for this model, so it cannot be scored.
    """
    if lm.model in _CHECKED:
        return
    n_tokens = min(_TOKENS, lm.context)
    ids = torch.arange(n_tokens, device=lm.device)[None] % len(lm.head.weight)
    with torch.no_grad():
        final = _check_injection(lm, ids)
        _compare(
            lm, lm.head(final), lm.model(input_ids=ids, use_cache=False).logits,
            "its logits are not the head applied to the normed residual",
        )  # fmt: skip
        with use_prefix_attention(lm) as attention:
            # In reverse, so that a block which counts positions itself is found out.
            slots = list(range(n_tokens))[::-1]
            sequence = Sequence(ids[0].tolist(), slots, [0] * n_tokens)
            recording = record(lm, attention, [sequence])
            rows = forward_rows(lm, attention, recording, torch.ones(0, device=lm.device), True)
        _compare(
            lm, rows.final, final[:, slots],
            "rows with the shared prefix do not give its ordinary stream",
        )  # fmt: skip
    _CHECKED.add(lm.model)


def _check_injection(lm: LanguageModel, ids: Tensor) -> Tensor:
    """Run every block again without its neurons; the normed residual (1, token, width)."""
    calls: list[tuple[Any, dict[str, Any], Tensor]] = []
    neurons: list[Tensor] = []

    def after_block(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        calls.append((args, kwargs, output[0] if isinstance(output, tuple) else output))

    def before_projection(module: Any, args: tuple[Tensor, ...]) -> None:
        neurons.append(args[0])

    def silence(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (torch.zeros_like(args[0]),)

    handles = []
    try:
        for block, projection in zip(lm.blocks, lm.projections, strict=True):
            handles.append(block.register_forward_hook(after_block, with_kwargs=True))
            handles.append(projection.register_forward_pre_hook(before_projection))
        final = lm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    finally:
        for handle in handles:
            handle.remove()
    for layer, (block, projection) in enumerate(zip(lm.blocks, lm.projections, strict=True)):
        args, kwargs, output = calls[layer]
        handle = projection.register_forward_pre_hook(silence)
        try:
            silent = block(*args, **kwargs)
        finally:
            handle.remove()
        silent = silent[0] if isinstance(silent, tuple) else silent
        w = neurons[layer]
        written = projection(w) - projection(torch.zeros_like(w))
        _compare(
            lm, output - written, silent,
            f"block {layer} does not add the output of {lm.family.ffn_out} to the residual as it "
            "is (is there a norm or a scale behind it?)", scale=written,
        )  # fmt: skip
    _compare(lm, lm.final_norm(calls[-1][2]), final, f"{lm.family.final_norm} is not its last norm")
    return final


def _compare(
    lm: LanguageModel, ours: Tensor, theirs: Tensor, what: str, scale: Tensor | None = None
) -> None:
    if not (theirs.isfinite().all() and ours.isfinite().all()):
        raise DataError(
            f"{type(lm.model).__name__}: its activations are not finite numbers; the weights are "
            "damaged, or the dtype is too narrow for them (use bfloat16 or float32)"
        )
    # Rounding is a few units of the largest value; a wrong shortcut errs by much of `scale`.
    size = (theirs if scale is None else scale).abs().max().item()
    allowed = 0.01 * size + 16 * torch.finfo(lm.dtype).eps * theirs.abs().max().item()
    error = (ours - theirs).abs().max().item()
    if not error <= allowed:
        raise DataError(
            f"{type(lm.model).__name__}: {what}; largest difference {error:.2g}, at most "
            f"{allowed:.2g} expected. Scores of its neurons would be wrong, so the model is "
            "refused; check its record in workflow/caploc/models"
        )

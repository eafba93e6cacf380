"""Before the first use of a model: does it do what the shortcuts assume?

Compared with the blocks run in the ordinary way on six tokens (more than its window, for a model
that the user tries as a family that does not name it): (1) silencing the neurons of a block
does to its output what injection says it does, linear if that is right, else generic, (2) norm
and head give the logits, (3) rows through the shared-prefix attention reproduce the ordinary
stream. A model that fails is refused: its scores would look reasonable and be wrong.
"""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from caploc.attribution.injection import hook_neurons, written_by
from caploc.attribution.prefix_attention import use_prefix_attention
from caploc.attribution.recording import Sequence, record
from caploc.attribution.streams import forward_rows, silenced_outputs
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["check_model"]

_TOKENS = 6
# {model: {site: whether injection is linear}}
_CHECKED: WeakKeyDictionary[nn.Module, dict[str, bool]] = WeakKeyDictionary()


def check_model(lm: LanguageModel, site: str = "post") -> bool:
    """Compare the shortcuts with the model itself, once per loaded model and site.

    Returns:
        Whether injection at the site is linear, in every block.

    Raises:
        DataError: a shortcut is wrong for this model, so it cannot be scored.
    """
    known = _CHECKED.setdefault(lm.model, {})
    if site not in known:
        _refuse_chosen_tokens(lm)
        try:
            with torch.no_grad():
                known[site] = _check(lm, site)
        except (DataError, torch.OutOfMemoryError, MemoryError):
            raise
        # Blocks that differ from what a family says may fail in any way.
        except Exception as error:
            raise DataError(
                f"{type(lm.model).__name__}: its blocks cannot be run as those of the family "
                f"{lm.family.name} ({type(error).__name__}: {' '.join(str(error).split())}); "
                "choose another model"
            ) from error
    return known[site]


def _check(lm: LanguageModel, site: str) -> bool:
    n_tokens = min(max(_TOKENS, _reach(lm) + 2), lm.context)
    ids = torch.arange(n_tokens, device=lm.device)[None] % len(lm.head.weight)
    blocks = _run_blocks(lm, site, ids)
    final = lm.final_norm(blocks[-1].output)
    _compare(lm, final, blocks[-1].normed, f"{lm.family.final_norm} is not its last norm")
    _compare(
        lm, lm.logits(final), lm.model(input_ids=ids, use_cache=False).logits,
        "its logits are not the head applied to the normed residual",
    )  # fmt: skip
    linear = site == "post" and all(
        _error(lm, b.output - b.written, b.silent, b.written)[0] == 0 for b in blocks
    )
    with use_prefix_attention(lm) as attention:
        # In reverse, so that a block which counts positions itself is found out.
        slots = list(range(n_tokens))[::-1]
        sequence = Sequence(ids[0].tolist(), slots, [0] * n_tokens)
        recording = record(lm, attention, [sequence], site, linear)
        nowhere = [torch.ones(0, 1, 1, device=lm.device)] * lm.n_layers
        rows = forward_rows(lm, attention, recording, nowhere, True)
        silent = None if linear else silenced_outputs(lm, attention, recording)
    _compare(
        lm, rows.final, final[:, slots],
        "rows with the shared prefix do not give its ordinary stream",
    )  # fmt: skip
    for layer, found in enumerate(silent or []):
        _compare(
            lm, found, blocks[layer].silent[:, slots],
            f"block {layer} run on single rows without its neurons (site {site}) does not give "
            "what it gives in the ordinary way", scale=blocks[layer].written,
        )  # fmt: skip
    return linear


def _refuse_chosen_tokens(lm: LanguageModel) -> None:
    """On texts as short as that of the check, attention to a few tokens is attention to all."""
    found = [key for key in lm.config.to_dict() if key.startswith("index_topk")]
    if found:
        raise DataError(
            f"{type(lm.model).__name__}: its config has {found[0]}, attention to tokens that it "
            "chooses, which is not supported; choose another model"
        )


def _reach(lm: LanguageModel) -> int:
    """Tokens behind which a window or chunk shows, for a model that no family names."""
    found = [v for k, v in lm.config.to_dict().items() if "window" in k or "chunk" in k]
    return max([n for n in found if type(n) is int], default=0) if lm.tried else 0


@dataclass(frozen=True, slots=True)
class _Block:
    """What a block does to the tokens of the check, (1, token, width) each.

    Attributes:
        output: with its neurons.
        silent: with its neurons at 0.
        written: what the neurons should add to the residual if nothing stands behind them; for
            site ``pre`` the difference of the outputs, to compare with.
        normed: last hidden state of the model.
    """

    output: Tensor
    silent: Tensor
    written: Tensor
    normed: Tensor


def _run_blocks(lm: LanguageModel, site: str, ids: Tensor) -> list[_Block]:
    """Run every block with and without its neurons."""
    calls: list[tuple[Any, dict[str, Any], Tensor]] = []
    neurons: list[Tensor] = []

    def after_block(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        calls.append((args, kwargs, output[0] if isinstance(output, tuple) else output))

    handles = []
    try:
        for layer, block in enumerate(lm.blocks):
            handles.append(block.register_forward_hook(after_block, with_kwargs=True))
            handles.append(hook_neurons(lm, layer, site, neurons.append))
        normed = lm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    finally:
        for handle in handles:
            handle.remove()
    blocks = []
    for layer, (block, projection) in enumerate(zip(lm.blocks, lm.projections, strict=True)):
        args, kwargs, output = calls[layer]
        handle = hook_neurons(lm, layer, site, torch.zeros_like)
        try:
            silent = block(*args, **kwargs)
        finally:
            handle.remove()
        silent = silent[0] if isinstance(silent, tuple) else silent
        written = output - silent
        if site == "post":
            written = written_by(projection, neurons[layer]).view_as(output)
        blocks.append(_Block(output, silent, written, normed))
    return blocks


def _compare(
    lm: LanguageModel, ours: Tensor, theirs: Tensor, what: str, scale: Tensor | None = None
) -> None:
    error, allowed = _error(lm, ours, theirs, theirs if scale is None else scale)
    if error:
        raise DataError(
            f"{type(lm.model).__name__}: {what}; largest difference {error:.2g}, at most "
            f"{allowed:.2g} expected. Scores of its neurons would be wrong, so the model is "
            "refused; check its record in workflow/caploc/models"
        )


def _error(lm: LanguageModel, ours: Tensor, theirs: Tensor, scale: Tensor) -> tuple[float, float]:
    """Largest difference, 0 if it is rounding, and what rounding may be."""
    if not (theirs.isfinite().all() and ours.isfinite().all()):
        raise DataError(
            f"{type(lm.model).__name__}: its activations are not finite numbers; the weights are "
            "damaged, or the dtype is too narrow for them (use bfloat16 or float32)"
        )
    # Rounding is a few units of the largest value; a wrong shortcut errs by much of `scale`.
    eps = torch.finfo(lm.dtype).eps
    allowed = 0.01 * scale.abs().max().item() + 16 * eps * theirs.abs().max().item()
    error = (ours - theirs).abs().max().item()
    return (0.0 if error <= allowed else error), allowed

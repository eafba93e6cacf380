"""Causal tracing of one fact: every (token, layer) restored alone, sharing all that cells share.

The subject's embeddings are corrupted with noise; a cell (t, l) puts clean states back at token t,
the output of block l or, of the FFN or of attention, the outputs in a window of blocks around l.
What a cell can change is only: tokens t and later, blocks behind the first restored state. So

1. one pass over the clean row and all noisy rows records the states of every block;
2. cells of tokens before the subject are not run: nothing there is corrupted, the effect is 0;
3. the cells of one token travel together, each as a *stream* of rows (one per noise sample) that
   joins where it first differs from the corrupted run;
4. windows that begin at the same block are one stream until the first of them ends: there it forks.

Nothing is approximated: in exact arithmetic the result is that of running the whole model per cell.

Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", section 2, and their
public code: noise of 3 standard deviations on all subject tokens, the same 10 noise samples for
every cell, windows of 10 layers for FFN and attention: layers l - 5 to l + 4.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from caploc.forward.subject import Tokens
from caploc.locators._block_calls import (
    Recorded,
    check_repeated,
    output_changed,
    record_rows,
    rows_of,
    run_block,
)
from caploc.models.language_model import LanguageModel

__all__ = ["KINDS", "Restoration", "restore_cells", "window_of"]

KINDS = ("residual", "ffn", "attention")


@dataclass(frozen=True, slots=True)
class Restoration:
    """Probabilities of one fact, mean over answer tokens and over noise samples.

    Attributes:
        clean: P(answer) of the untouched prompt.
        corrupted: P(answer) with noise on the subject.
        restored: (kind, token, layer) P(answer) with that cell clean again; kinds as in `KINDS`.
    """

    clean: float
    corrupted: float
    restored: Tensor


@dataclass(frozen=True, slots=True)
class _Stream:
    """Rows that carry one restored state or, until they fork, several.

    Attributes:
        kind: index in `KINDS`.
        cells: (layer of the cell, last restored block), ordered by the latter.
    """

    kind: int
    cells: tuple[tuple[int, int], ...]

    def restores(self, layer: int) -> bool:
        """Is a state put back in this block? Residual states are put back behind a block."""
        return KINDS[self.kind] != "residual" and layer <= self.cells[-1][1]


def window_of(layer: int, window: int, n_layers: int) -> tuple[int, int]:
    """First and last block restored around a layer, cut at the ends of the model.

    An even window reaches one block further back than ahead, as in the public code.
    """
    return max(0, layer - window // 2), min(n_layers, layer + (window + 1) // 2) - 1


@torch.no_grad()
def restore_cells(
    lm: LanguageModel,
    tokens: Tokens,
    noise: Tensor,
    *,
    window: int,
    batch_tokens: int,
    last_only: bool = False,
) -> Restoration:
    """Restore every cell of one fact.

    Args:
        lm: the model.
        tokens: the fact.
        noise: (noise sample, subject token, width) to add to the embeddings of the subject.
        window: blocks restored together, for FFN and attention; at least 1.
        batch_tokens: most tokens in one call of a block, if one noise sample fits; bounds memory.
        last_only: restore at the last subject token alone; other cells are NaN.
    """
    ids = torch.tensor([tokens.read], device=lm.device)
    embeddings = lm.model.get_input_embeddings()(ids)
    noisy = embeddings.repeat(len(noise), 1, 1)
    noisy[:, tokens.first : tokens.last + 1] += noise.to(embeddings)
    recorded = record_rows(lm, torch.cat([embeddings, noisy]), "causal tracing")
    check_repeated(lm, recorded, "causal tracing")
    targets = torch.tensor(tokens.answer, device=lm.device)
    untouched = _probability(lm, recorded.outputs[-1][:, tokens.slots], targets)
    corrupted = untouched[1:].mean()
    restored = corrupted.expand(len(KINDS), len(tokens.prompt), lm.n_layers).clone()
    traced = [tokens.last] if last_only else range(tokens.first, len(tokens.prompt))
    if last_only:
        restored[:] = torch.nan
    restored[:, traced] = 0
    # Streams never outnumber the cells of a token.
    rows = max(1, batch_tokens // (len(KINDS) * lm.n_layers * ids.shape[1]))
    for start in range(1, len(noisy) + 1, rows):
        part = rows_of(recorded, slice(start, start + rows))
        for token in traced:
            states = _States(recorded, part, token)
            restored[:, token] += _restore_token(lm, states, tokens, window, targets)
    restored[:, traced] /= len(noisy)
    return Restoration(float(untouched[0]), float(corrupted), restored.cpu())


@dataclass(frozen=True, slots=True)
class _States:
    """What the cells of one token are made of: row 0 of `clean`, all rows of `noisy`."""

    clean: Recorded
    noisy: Recorded
    token: int

    def put_back(self, kind: str, layer: int) -> Tensor:
        """(width,) clean state of a block."""
        states = {
            "residual": self.clean.outputs, "ffn": self.clean.ffn, "attention": self.clean.attention
        }  # fmt: skip
        return states[kind][layer][0, self.token]


def _restore_token(
    lm: LanguageModel, states: _States, tokens: Tokens, window: int, targets: Tensor
) -> Tensor:
    """Sum over the noisy rows of P(answer) for all cells of a token: (kind, layer)."""
    noisy, token = states.noisy, states.token
    starts = _windows(lm.n_layers, window)
    streams: list[_Stream] = []
    hidden = noisy.inputs[0][None, :, token:][:0]
    for layer in range(lm.n_layers):
        if cells := starts.get(layer):
            streams += [_Stream(KINDS.index(kind), cells) for kind in ("ffn", "attention")]
            new = noisy.inputs[layer][:, token:]
            hidden = torch.cat([hidden, new.expand(2, *new.shape)])
        if streams:
            with _restoring(lm, states, streams, layer):
                hidden = run_block(lm, noisy, layer, hidden, token)
        streams, order = _fork(streams, layer)
        whole = noisy.outputs[layer][:, token:].clone()
        whole[:, 0] = states.put_back("residual", layer)
        hidden = torch.cat([hidden[order], whole[None]])
        streams.append(_Stream(KINDS.index("residual"), ((layer, layer),)))
    slots = [slot - token for slot in tokens.slots]
    probability = _probability(lm, hidden[:, :, slots], targets).sum(1)
    result = probability.new_empty(len(KINDS), lm.n_layers)
    for stream, p in zip(streams, probability, strict=True):
        result[stream.kind, stream.cells[0][0]] = p
    return result


@contextmanager
def _restoring(
    lm: LanguageModel, states: _States, streams: list[_Stream], layer: int
) -> Iterator[None]:
    """While a block runs, put clean FFN or attention outputs into the streams that ask for it."""

    def change(kind: str, output: Tensor) -> Tensor:
        chosen = [i for i, s in enumerate(streams) if KINDS[s.kind] == kind and s.restores(layer)]
        n_rows, n_tokens, width = states.noisy.inputs[layer][:, states.token :].shape
        changed = output.clone()
        view = changed.view(len(streams), n_rows, n_tokens, width)
        view[chosen, :, 0] = states.put_back(kind, layer)
        return changed

    attention = lm.parts("attention_out", "causal tracing")[layer]
    with (
        output_changed(lm.projections[layer], lambda output: change("ffn", output)),
        output_changed(attention, lambda output: change("attention", output)),
    ):
        yield


def _windows(n_layers: int, window: int) -> dict[int, tuple[tuple[int, int], ...]]:
    """Cells by the block at which their window begins, those that end first in front."""
    starts: dict[int, tuple[tuple[int, int], ...]] = {}
    for layer in range(n_layers):
        first, last = window_of(layer, window, n_layers)
        starts[first] = (*starts.get(first, ()), (layer, last))
    return starts


def _fork(streams: list[_Stream], layer: int) -> tuple[list[_Stream], list[int]]:
    """Split off the cells whose window ended with this block.

    Returns:
        The streams behind the block, and which stream in front of it each continues.
    """
    after: list[_Stream] = []
    order: list[int] = []
    for i, stream in enumerate(streams):
        ended = tuple(cell for cell in stream.cells if cell[1] <= layer)
        going_on = stream.cells[len(ended) :]
        parts = [(cell,) for cell in ended] + ([going_on] if going_on else [])
        after += [_Stream(stream.kind, cells) for cells in parts]
        order += [i] * len(parts)
    return after, order


def _probability(lm: LanguageModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """P(gold token), mean over answer tokens: (..., answer token, width) -> (...)."""
    z = lm.logits(lm.final_norm(hidden))
    p = torch.softmax(z.to(torch.promote_types(z.dtype, torch.float32)), dim=-1)
    return p.gather(-1, targets.expand(p.shape[:-1])[..., None])[..., 0].mean(-1)

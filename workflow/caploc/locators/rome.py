"""Causal tracing (ROME): which layer's states bring a fact back after its subject was corrupted.

The unit is the layer. A sample names its subject in ``meta["subject"]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.forward.subject import Tokens, tokens_of
from caploc.locators._restoration import KINDS, restore_cells, window_of
from caploc.models.language_model import LanguageModel
from caploc.records import DataError, Dropped, Sample

__all__ = [
    "KINDS",
    "PAPER",
    "TITLE",
    "UNIT",
    "Tracing",
    "embedding_spread",
    "locate",
    "located",
    "per_layer",
    "select",
    "token_map",
]

TITLE = "Causal tracing"
UNIT = "layer"
PAPER = {"fidelity": 0.327, "reliability": 0.0}
"""Overlap of rewrites and IPP that the paper prints for it (GPT-J, CounterFact)."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """Effects of one fact, in probability of the gold answer (mean over its tokens).

    Attributes:
        effects: (kind, prompt token, layer) restored minus corrupted probability, mean over the
            noise samples; kinds as in `KINDS`. Exactly 0 at tokens before the subject.
        probability: P(answer) of the untouched prompt.
        probability_corrupted: the same with noise on the subject.
        tokens: (prompt token) text of each token, for the map.
        subject: index of the first and of the last subject token.
    """

    effects: NDArray[np.float64]
    probability: float
    probability_corrupted: float
    tokens: tuple[str, ...]
    subject: tuple[int, int]

    @property
    def scores(self) -> NDArray[np.float64]:
        """(layer,) effect of the FFN window around the layer at the last subject token."""
        return self.effects[KINDS.index("ffn"), self.subject[1]]


def locate(
    lm: LanguageModel,
    samples: Sequence[Sample],
    *,
    noise: float = 3.0,
    noise_samples: int = 10,
    window: int = 10,
    spread: float | None = None,
    batch_tokens: int = 16384,
    seed: int = 0,
) -> list[Tracing | Dropped]:
    """Trace every fact.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers; ``meta["subject"]`` is the subject as it stands there.
        noise: standard deviation of the noise on the subject's embeddings, in units of `spread`.
        noise_samples: number of noise samples, the same in every cell.
        window: blocks restored together, for FFN and attention.
        spread: standard deviation of subject embeddings, see `embedding_spread`; None means that
            of these samples, so shards of one run should be given the same number.
        batch_tokens: most tokens in one call of a block; bounds memory, changes rounding only.
        seed: of the noise; the same for every fact, so equal subjects get equal noise.

    Returns:
        Per sample its `Tracing`, or why it was left out.

    Raises:
        DataError: the family does not name the parts that are restored, or the window covers
            the whole model from layer 0 on.
        ValueError: bad arguments.
    """
    if noise < 0 or noise_samples < 1 or window < 1:
        raise ValueError(
            f"noise {noise} must not be negative, noise_samples {noise_samples} and window "
            f"{window} be at least 1"
        )
    lm.parts("attention_out", "causal tracing")
    if lm.n_layers > 1 and window_of(0, window, lm.n_layers)[1] == lm.n_layers - 1:
        raise DataError(
            f"causal tracing with a window of {window} restores all {lm.n_layers} layers of this "
            "model already around layer 0, so layers could not be told apart; choose a smaller "
            "window"
        )
    found = [_tokens_or_reason(lm, sample) for sample in samples]
    kept = [tokens for tokens in found if isinstance(tokens, Tokens)]
    if spread is None and kept:
        spread = _spread(lm, kept)
    width = lm.model.get_input_embeddings().embedding_dim
    results: list[Tracing | Dropped] = []
    for tokens in found:
        if isinstance(tokens, Dropped):
            results.append(tokens)
            continue
        assert spread is not None
        shape = (noise_samples, tokens.last - tokens.first + 1, width)
        drawn = np.random.default_rng(seed).standard_normal(shape) * (noise * spread)
        restoration = restore_cells(
            lm, tokens, torch.from_numpy(drawn), window=window, batch_tokens=batch_tokens
        )
        results.append(
            Tracing(
                effects=(restoration.restored.double() - restoration.corrupted).numpy(),
                probability=restoration.clean,
                probability_corrupted=restoration.corrupted,
                tokens=tuple(lm.tokenizer.convert_ids_to_tokens(tokens.prompt)),
                subject=(tokens.first, tokens.last),
            )
        )
    return results


def embedding_spread(lm: LanguageModel, samples: Sequence[Sample]) -> float:
    """Standard deviation of all entries of the embeddings of all subject tokens.

    Args:
        lm: the model, with its tokenizer.
        samples: facts; those whose subject is not found are passed over.

    Raises:
        ValueError: no sample has a subject.
    """
    found = [_tokens_or_reason(lm, sample) for sample in samples]
    return _spread(lm, [tokens for tokens in found if isinstance(tokens, Tokens)])


def select(scores: NDArray[np.floating], top: int = 1) -> NDArray[np.bool_]:
    """Located layers: those with the largest effects; of equal ones the lower layer.

    Args:
        scores: (layer,) effects.
        top: number of layers; 1 is the layer that would be edited.

    Returns:
        (layer,) True where located.

    Raises:
        ValueError: `top` is not between 1 and the number of layers, or a score is not finite.
    """
    if not 1 <= top <= len(scores):
        raise ValueError(f"top must be between 1 and {len(scores)} layers, found {top}")
    if not np.isfinite(scores).all():
        raise ValueError("an effect is not a finite number")
    located = np.zeros(len(scores), dtype=bool)
    located[np.argsort(-scores, kind="stable")[:top]] = True
    return located


def located(result: Tracing, *, top: int = 5) -> dict[str, NDArray[np.bool_]]:
    """Located layers of one prompt by name: the best one, and the `top` best of more layers."""
    found = {"best layer": select(result.scores)}
    if 1 < top < len(result.scores):
        found[f"top {top} layers"] = select(result.scores, top)
    return found


def token_map(result: Tracing) -> dict[str, NDArray[np.generic] | list[str]]:
    """The whole map as columns of a file of located sets, see `caploc.files.located`."""
    return {
        "tokens": list(result.tokens),
        "subject": np.array(result.subject, dtype=np.int32),
        "effects": result.effects.reshape(-1).astype(np.float32),
    }


def per_layer(result: Tracing) -> list[int]:
    """Number of units in each layer: the layer itself."""
    return [1] * len(result.scores)


def _tokens_or_reason(lm: LanguageModel, sample: Sample) -> Tokens | Dropped:
    try:
        return tokens_of(lm, sample)
    except Dropped as reason:
        return reason


def _spread(lm: LanguageModel, kept: Sequence[Tokens]) -> float:
    if not kept:
        raise ValueError("no sample has a subject in its prompt, so embeddings have no spread")
    ids = [i for tokens in kept for i in tokens.prompt[tokens.first : tokens.last + 1]]
    with torch.no_grad():
        embedded = lm.model.get_input_embeddings()(torch.tensor(ids, device=lm.device))
    return float(embedded.double().std(correction=0))

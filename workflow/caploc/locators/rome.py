"""Causal tracing (ROME): which layer's states bring a fact back after its subject was corrupted.

The unit is the layer. A sample names its subject in ``meta["subject"]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.forward.hooks import recorded_neurons
from caploc.forward.subject import Tokens, tokens_of
from caploc.locators._restoration import KINDS, restore_cells, window_of
from caploc.measures.budgets import Units, descending
from caploc.models.language_model import LanguageModel, matrix
from caploc.records import DataError, Dropped, Sample
from caploc.settings import Count, Positive

__all__ = [
    "KINDS",
    "PAPER",
    "RANK",
    "TITLE",
    "UNIT",
    "Tracing",
    "embedding_spread",
    "locate",
    "located",
    "per_layer",
    "rank",
    "select",
    "settings_of_run",
    "token_map",
]

TITLE = "Causal tracing"
UNIT = "layer"
PAPER = {"fidelity": 0.327, "reliability": 0.0}
"""Overlap of rewrites and IPP that the paper prints for it (GPT-J, CounterFact)."""
RANK = "layers by effect; inside, neurons by what they write at the last subject token"


@dataclass(frozen=True, slots=True)
class Tracing:
    """Effects of one fact, in probability of the gold answer (mean over its tokens).

    Attributes:
        effects: (kind, prompt token, layer) restored minus corrupted probability, mean over the
            noise samples; kinds as in `KINDS`. Exactly 0 at tokens before the subject,
            NaN at tokens that were not traced.
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
    noise: Positive = 3.0,
    noise_samples: Count = 10,
    window: Count = 10,
    spread: Positive | None = None,
    positions: Literal["all", "last_subject"] = "all",
    batch_tokens: Count = 16384,
    seed: int = 0,
) -> list[Tracing | Dropped]:
    """Trace every fact.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers; ``meta["subject"]`` is the subject as it stands there.
        noise: noise on the subject, in standard deviations of subject embeddings
        noise_samples: fixed noise samples, the same in every cell
        window: blocks that are restored together, for FFN and attention
        spread: standard deviation of subject embeddings, see `embedding_spread`; by default that
            of all facts of a run
        positions: tokens that are restored, one at a time: all, or only the last one of the
            subject, which decides what is located and takes a fraction of the time
        batch_tokens: most tokens in one call of a block; bounds memory, changes rounding only
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
            lm, tokens, torch.from_numpy(drawn), window=window, batch_tokens=batch_tokens,
            last_only=positions == "last_subject",
        )  # fmt: skip
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


def settings_of_run(lm: LanguageModel, samples: Sequence[Sample]) -> dict[str, Any]:
    """The scale of the noise, which must not depend on the shard, from the facts of a run."""
    try:
        return {"spread": embedding_spread(lm, samples)}
    except ValueError:
        # No subject was found in any prompt; each is left out with that reason.
        return {}


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


def located(result: Tracing, *, top: Count = 5) -> dict[str, NDArray[np.bool_]]:
    """Located layers of one prompt by name: the best one, and the `top` best of more layers.

    Args:
        result: of the prompt.
        top: layers of the second rule; the first takes the best one
    """
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


def rank(
    lm: LanguageModel, units: Units, sample: Sample, scores: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Neurons of the layer of the largest effect first; within a layer, tracing does not rank.

    Args:
        lm: the model, with its tokenizer.
        units: of the model.
        sample: the fact.
        scores: (layer,) effects.

    Returns:
        (neuron,) ids of units; within a layer by the size of what they write at the last subject
        token.
    """
    sizes = _written(lm, sample)
    return np.concatenate(
        [layer * units.n_neurons + descending(sizes[layer]) for layer in descending(scores)]
    )


def _written(lm: LanguageModel, sample: Sample) -> NDArray[np.float64]:
    """(layer, neuron) |activation| x norm of the output column, at the last subject token."""
    tokens = tokens_of(lm, sample)
    ids = torch.tensor([tokens.prompt[: tokens.last + 1]], device=lm.device)
    return np.stack(
        [
            (w.double().abs() * matrix(p).double().norm(dim=0)).cpu().numpy()
            for w, p in zip(recorded_neurons(lm, ids, at=(0, -1)), lm.projections, strict=True)
        ]
    )


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

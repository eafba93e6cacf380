"""Train located neurons alone, and change a model for good."""

import math
from typing import Any

from caploc.api.given import Pairs, encoded, read_samples, wrapped
from caploc.api.located import Neurons, mask_of
from caploc.attribution.public import untouched
from caploc.interventions.delta import Delta, put
from caploc.interventions.fitting import Diverged, Recipe, Training
from caploc.interventions.scale import scale
from caploc.interventions.slices import Part, Slices
from caploc.records import DataError

__all__ = ["apply", "train_located"]


def train_located(
    model: Any,
    tokenizer: Any,
    located: Neurons,
    samples: Pairs,
    *,
    rate: float = 1e-3,
    epochs: int = 3,
    batch: int = 8,
    seed: int = 0,
    part: Part = "both",
) -> Delta:
    """Train the weights of located neurons on gold answers, all else frozen.

    Args:
        model: transformers decoder; it is left exactly as it was.
        tokenizer: its tokenizer.
        located: the neurons.
        samples: (prompt, answer) pairs, as many as a batch at least.
        rate: learning rate of AdamW, constant.
        epochs: passes over the samples, at least 1.
        batch: samples in a step.
        seed: of the order of the samples.
        part: ``in`` trains the rows of the first projections, ``out`` the columns of the output
            projection, ``both`` both.

    Returns:
        The trained weights, for `apply` and `Delta.save`; ``facts["losses"]`` has the mean loss of
        each epoch, in nat per answer token.

    Raises:
        DataError: samples that are no pairs or too few, a mask of another shape or an empty one, a
            training that diverges, or a model whose neurons cannot be trained alone.

    Example:
        >>> delta = caploc.train_located(model, tokenizer, found, pairs, epochs=2, batch=2)
        >>> len(delta.facts["losses"])
        2
    """
    if epochs < 1:
        raise DataError(f"epochs={epochs}; expected at least 1")
    mask = mask_of(located)
    read = read_samples(samples, "samples", tokenizer)
    with wrapped(model, tokenizer) as lm:
        _, prompts, answers = encoded(lm, read)
        slices = Slices(lm, mask_of(mask, lm), part)
        pairs = list(zip(prompts, answers, strict=True))
        training = Training(lm, slices, pairs, Recipe(rate, batch, seed))
        try:
            while training.epoch < epochs:
                training.step()
            values = {name: value.detach().clone() for name, value in slices.values.items()}
        except Diverged as reason:
            raise DataError(f"training diverged: {reason}; set a smaller rate") from None
        finally:
            slices.restore()
    return Delta(mask, values, {"model": {}, "part": part, "losses": training.losses})


def apply(model: Any, change: Neurons | Delta, factor: float = 0.0) -> None:
    """Change a model for good; save it with ``save_pretrained``.

    Args:
        model: transformers decoder.
        change: trained weights to put in, or neurons whose activation is multiplied.
        factor: of these neurons; 0 erases them.

    Raises:
        DataError: something of another model, an empty mask, or a factor that is not finite.

    Example:
        >>> caploc.apply(model, found, factor=2.0)
        >>> caploc.apply(model, found, factor=0.5)
    """
    if not math.isfinite(factor):
        raise DataError(f"factor={factor}; expected a finite number")
    with untouched(model) as lm:
        if isinstance(change, Delta):
            put(lm, change)
        else:
            scale(lm, mask_of(change, lm), factor)

"""Locate the neurons of an ability."""

from collections.abc import Mapping
from typing import Any

from caploc import locator_settings, plugins
from caploc.api.given import Pairs, read_samples, wrapped
from caploc.api.located import Located
from caploc.locating import Given, scores_of_task
from caploc.measures.masks import Sign
from caploc.records import DataError

__all__ = ["locate"]

_CONVERGED = {"rule": "adaptive", "steps": 64, "tolerance": 0.01}


def locate(
    model: Any,
    tokenizer: Any,
    samples: Pairs,
    *,
    method: str = "cnl",
    others: Mapping[str, Pairs] | None = None,
    neutral: Pairs = (),
    sigma: float = 6.0,
    sign: Sign = "both",
    seed: int = 0,
    **settings: Any,
) -> Located:
    """Score every FFN neuron and locate those far from the mean.

    Args:
        model: transformers decoder with a language-modelling head.
        tokenizer: its tokenizer.
        samples: (prompt, answer) pairs; an answer begins with the space that the prompt lacks.
        method: a file in ``caploc/locators`` that scores neurons of a task, e.g. ``cnl``.
        others: samples of other abilities by name, for methods that contrast abilities.
        neutral: text without an ability, for methods that ask for it.
        sigma: located where abs(score - mean) > sigma * standard deviation.
        sign: which side of the mean counts: both, positive or negative.
        seed: of what is drawn.
        settings: of the locator. `cnl` integrates until it has converged
            (``rule="adaptive", tolerance=0.01``); ``rule="inclusive", steps=19`` is the paper's.

    Raises:
        DataError: an unknown method, samples that are no pairs, no sample that fits the model, or a
            model that caploc does not know.

    Example:
        >>> found = caploc.locate(model, tokenizer, [("a b", " c"), ("b c", " d")])
        >>> found.mask.shape == (model.config.num_hidden_layers, model.config.intermediate_size)
        True
    """
    known = locator_settings.of_plants()
    if method not in known:
        raise DataError(f"method {method!r}; expected one of {', '.join(known)}")
    if method == "cnl":
        settings = _CONVERGED | settings
    given = Given(
        read_samples(samples, "samples", tokenizer),
        {
            name: read_samples(texts, f"others[{name!r}]", tokenizer)
            for name, texts in (others or {}).items()
        },
        read_samples(neutral, "neutral", tokenizer) if len(neutral) else [],
    )
    locator = plugins.load("locators", method)
    with wrapped(model, tokenizer) as lm:
        scores = scores_of_task(locator, lm, given, seed=seed, **settings)
    return Located(scores, sigma, sign, method, settings, seed)

"""`attribute` for notebooks: any transformers model, one sample or many, the model left as it was.

The engine takes a wrapped, frozen model and lists of ids. Here ids may be lists, arrays, tensors or
what a tokenizer returns, padded on either side; the model may be in training mode with gradients
on. Whatever is changed for the computation is changed back, also after an error.
"""

import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from caploc.attribution import engine
from caploc.attribution.engine import Attribution
from caploc.models.language_model import LanguageModel, release_model, wrap_model

__all__ = ["attribute", "read_sample", "untouched"]


def attribute(
    model: Any,
    prompt_ids: Any,
    answer_ids: Any,
    *,
    rule: str = "inclusive",
    steps: int = 19,
    site: str = "post",
    tolerance: float = 1e-3,
    max_answer_tokens: int | None = None,
    batch_rows: int = 4096,
    memory_bytes: int | None = None,
    seed: int = 0,
) -> Attribution | list[Attribution]:
    """Score every FFN neuron for one sample or for a batch.

    Args:
        model: causal language model of transformers (any dtype, in training mode or not), or a
            `LanguageModel` from `load_model`. It is left exactly as it was, also after an error.
        prompt_ids: what stands before the answer. One sample: a sequence, array or tensor of token
            ids. A batch: a sequence of those, a tensor of two axes, or what a tokenizer returned
            (``input_ids`` with ``attention_mask``, padded left or right; padding is taken out, so
            positions count from the first real token, as in `generate`).
        answer_ids: token ids of the gold answer, in the same forms. Tokenise it without special
            tokens (``add_special_tokens=False``), or use `encode`.
        rule: ``inclusive`` (the printed formula), ``linspace``, ``left``, ``right``, ``midpoint``,
            ``gauss-legendre``, or ``adaptive`` (more points only where the gap asks for it).
        steps: S of the rule, at least 1; for ``adaptive`` the cap on the intervals of a (layer,
            token), at least 4.
        site: ``post``, the input of the FFN's output projection, or ``pre``, the output of its
            first (gate) projection, in front of the nonlinearity.
        tolerance: of the rule ``adaptive``: largest gap, in probability, that is left alone.
        max_answer_tokens: score at most this many answer tokens of a sample, a uniform random
            choice; None means all.
        batch_rows: most rows in one pass; changes rounding only.
        memory_bytes: most bytes of tensors beside the model and the results; changes rounding only.
            None takes half of the free memory, 85 % on an accelerator. What is more than this many
            bytes is cut: answer tokens, then path points, then layers, then blocks are run again.
        seed: of the choice of answer tokens.

    Returns:
        An `Attribution` for one sample, a list of them for a batch: ``scores`` (layer, neuron) in
        probability, ``probability`` (token,), ``probability_zeroed`` and ``gap`` (layer, token).

    Raises:
        DataError: the model does not fit the method, an unknown rule or site, or a score that is
            not a finite number; or the memory is too small, with the least that would do.
        ValueError: arguments that cannot be used: an empty prompt or answer, ids that are not in
            the vocabulary, a sample longer than the context, fewer than one step.

    Example:
        >>> prompt, answer = caploc.encode(tokenizer, "a b =", " one")
        >>> caploc.attribute(model, prompt, answer, steps=5).scores.shape == found.mask.shape
        True
    """
    prompts, several = _samples(prompt_ids, "prompt_ids")
    answers, also = _samples(answer_ids, "answer_ids")
    if several is not None and also is not None and several != also:
        one, many = ("answer_ids", "prompt_ids") if several else ("prompt_ids", "answer_ids")
        raise ValueError(f"{many} is a batch and {one} is one sample; give both in the same form")
    alone = False in (several, also)
    if alone:
        # Beside one sample, an empty list is a sample without tokens, which the engine refuses.
        prompts, answers = prompts or [[]], answers or [[]]
    if len(prompts) != len(answers):
        raise ValueError(f"{len(prompts)} prompts but {len(answers)} answers; expected as many")
    with untouched(model) as lm, torch.inference_mode(False):
        _in_vocabulary(lm, prompts, "prompt_ids")
        _in_vocabulary(lm, answers, "answer_ids")
        found = engine.attribute(
            lm, prompts, answers, rule=rule, steps=steps, site=site, tolerance=tolerance,
            max_answer_tokens=max_answer_tokens, batch_rows=batch_rows, memory_bytes=memory_bytes,
            seed=seed,
        )  # fmt: skip
    return found[0] if alone else found


@contextmanager
def untouched(model: Any) -> Iterator[LanguageModel]:
    """The model wrapped and frozen; on exit every module and parameter is as it was before.

    Args:
        model: a transformers model or a `LanguageModel`.
    """
    inner = model.model if isinstance(model, LanguageModel) else model
    training = [(module, module.training) for module in inner.modules()]
    # By name: accelerate replaces parameters that it keeps elsewhere by new ones.
    wanted_gradient = {name for name, p in inner.named_parameters() if p.requires_grad}
    try:
        if isinstance(model, LanguageModel):
            inner.eval()
            inner.requires_grad_(False)
            yield model
        else:
            lm = wrap_model(inner)
            try:
                yield lm
            finally:
                release_model(lm)
    finally:
        for module, flag in training:
            module.training = flag
        for name, parameter in inner.named_parameters():
            if name in wanted_gradient:
                parameter.requires_grad_(True)


def read_sample(lm: LanguageModel, prompt_ids: Any, answer_ids: Any) -> tuple[list[int], list[int]]:
    """Ids of one sample, in the forms that `attribute` takes for one.

    Raises:
        ValueError: not one sample, no tokens, ids outside the vocabulary, or too long.
    """
    (prompts, several), (answers, also) = (
        _samples(prompt_ids, "prompt_ids"), _samples(answer_ids, "answer_ids"),
    )  # fmt: skip
    if several or also or not prompts or not answers or not prompts[0] or not answers[0]:
        raise ValueError(
            "expected one sample: at least one token id of the prompt and one of the answer"
        )
    _in_vocabulary(lm, prompts, "prompt_ids")
    _in_vocabulary(lm, answers, "answer_ids")
    n = len(prompts[0]) + len(answers[0])
    if n - 1 > lm.context:
        raise ValueError(f"a sample of {n} tokens exceeds the context of {lm.context}")
    return prompts[0], answers[0]


def _samples(ids: Any, what: str) -> tuple[list[list[int]], bool | None]:
    """Lists of ids, and whether they are a batch (None: empty, so it cannot be told)."""
    mask = None
    if isinstance(ids, Mapping):
        ids, mask = ids["input_ids"], ids.get("attention_mask")
    rows, masks = _plain(ids), _plain(mask)
    if not isinstance(rows, list):
        raise ValueError(f"{what} is {rows!r:.80}; expected token ids (for text see caploc.encode)")
    several = isinstance(rows[0], list) if rows else None
    if several is False:
        rows, masks = [rows], masks and [masks]
    if masks:
        pairs = zip(rows, masks, strict=True)
        rows = [_unpadded(row, m, f"{what}[{i}]") for i, (row, m) in enumerate(pairs)]
    return [_ids(row, f"{what}[{i}]") for i, row in enumerate(rows)], several


def _plain(values: Any) -> Any:
    """Tensors and arrays, also inside a list, as lists."""
    if hasattr(values, "tolist"):
        return values.tolist()
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return values


def _ids(row: Any, where: str) -> list[int]:
    try:
        return [operator.index(value) for value in row]
    except TypeError:
        raise ValueError(f"{where} is {row!r:.80}; expected token ids (whole numbers)") from None


def _unpadded(row: list[Any], mask: list[int], where: str) -> list[Any]:
    """The ids whose mask is 1."""
    kept = [i for i, real in enumerate(mask) if real]
    if kept and kept[-1] - kept[0] + 1 != len(kept):
        raise ValueError(
            f"{where}: its attention_mask has a gap at position "
            f"{next(i for i in range(kept[0], kept[-1]) if not mask[i])}; expected padding at one "
            "or both ends only"
        )
    return [row[i] for i in kept]


def _in_vocabulary(lm: LanguageModel, rows: list[list[int]], what: str) -> None:
    size = len(lm.head.weight)
    for i, row in enumerate(rows):
        for token in row:
            if not 0 <= token < size:
                raise ValueError(
                    f"{what}[{i}] has the token id {token}; this model's are 0 to {size - 1} (was "
                    "the text encoded with another model's tokenizer?)"
                )

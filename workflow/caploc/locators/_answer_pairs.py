"""A fact beside the same sentence about something else, as token ids."""

from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample

__all__ = ["METRICS", "contrast_of", "tokens_of"]

METRICS = ("log_probability", "logit_difference")


def tokens_of(lm: LanguageModel, sample: Sample) -> tuple[list[int], list[int], list[int]]:
    """Ids of prompt, counterfactual prompt and answer.

    Raises:
        Dropped: they cannot be compared token by token.
    """
    other = sample.meta.get("counterfactual", "")
    if not other:
        raise Dropped("no counterfactual prompt")
    clean, answer = _encoded(lm, sample.prompt, sample.answer)
    corrupt, same_answer = _encoded(lm, other, sample.answer)
    if len(clean) != len(corrupt) or answer != same_answer:
        raise Dropped("prompt and counterfactual differ in number of tokens")
    if clean == corrupt:
        raise Dropped("prompt and counterfactual are the same")
    return clean, corrupt, answer


def _encoded(lm: LanguageModel, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    return lm.encode(prompt, answer)


def contrast_of(lm: LanguageModel, sample: Sample, answer: list[int], metric: str) -> int | None:
    """First token of the counterfactual answer, if the metric needs it.

    Raises:
        Dropped: there is no such answer, or it begins like the other.
        ValueError: unknown metric.
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; available: {', '.join(METRICS)}")
    if metric == "log_probability":
        return None
    other = sample.meta.get("counterfactual_answer", "")
    if not other:
        raise Dropped("no counterfactual answer")
    _, tokens = _encoded(lm, sample.meta["counterfactual"], other)
    if tokens[0] == answer[0]:
        raise Dropped("answer and counterfactual answer begin with the same token")
    return tokens[0]

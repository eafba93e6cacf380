"""Rewrites of a prompt by the studied model itself, kept only where it finds both to mean the same.

A small model can neither write nor judge, so it is examined first, on pairs whose answer is known:
a prompt and a rewrite of the data set, and a prompt and a question about another property of the
same subject. Only a model that tells these apart is asked to rewrite.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from caploc.forward.generation import complete
from caploc.forward.recall import Recall, recall
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode_text
from caploc.records import Fact

__all__ = ["OwnRewrites", "examine", "rewrite_facts"]

_WRITE = (
    "Sentence: The capital of Peru is\nThe same in other words: Peru's capital city is\n\n"
    "Sentence: Guernica was painted by\nThe same in other words: The painter of Guernica was\n\n"
    "Sentence: {prompt}\nThe same in other words:"
)
_JUDGE = (
    "First: The capital of Peru is\nSecond: Peru's capital city is\n"
    "Do both ask for the same thing? yes\n\n"
    "First: The capital of Peru is\nSecond: The largest river of Peru is\n"
    "Do both ask for the same thing? no\n\n"
    "First: {a}\nSecond: {b}\nDo both ask for the same thing?"
)
_LEAST_RIGHT = 0.75
"""Share of known pairs of either kind that a model must judge right to be asked at all."""
_LEAST_PAIRS, _MOST_PAIRS = 5, 20
_BATCH = 16


@dataclass(slots=True)
class OwnRewrites:
    """What came of asking a model to rewrite its prompts.

    Attributes:
        kept: rewrite by fact_id.
        dropped: facts without one, by reason.
        examples: (prompt, rewrite, verdict) of every fact that was rewritten, for reading.
        not_available: why the model was not asked; empty if it was.
    """

    kept: dict[str, str] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    not_available: str = ""


def rewrite_facts(lm: LanguageModel, facts: Sequence[Fact]) -> OwnRewrites:
    """Let the model rewrite the original prompt of every fact and check the meaning both ways.

    Args:
        lm: the model, with its tokenizer.
        facts: facts of the run.
    """
    reason = examine(lm, facts)
    if reason:
        return OwnRewrites(not_available=reason)
    result = OwnRewrites()
    requests = [_WRITE.format(prompt=fact.prompts[0]) for fact in facts]
    # A completion may be a little longer than the gold answer; a rewrite is as long as its prompt.
    lengths = [fact.prompts[0] for fact in facts]
    written = dict(complete(lm, requests, lengths, _BATCH))
    texts = [written[i].strip() for i in range(len(facts))]
    verdicts = [_form(fact, text) for fact, text in zip(facts, texts, strict=True)]
    asked = [i for i, verdict in enumerate(verdicts) if not verdict]
    pairs = [(facts[i].prompts[0], texts[i]) for i in asked]
    forth, back = _judge(lm, pairs), _judge(lm, [(b, a) for a, b in pairs])
    for i, one, other in zip(asked, forth, back, strict=True):
        verdicts[i] = "kept" if one and other else "the model finds another meaning"
    for fact, text, verdict in zip(facts, texts, verdicts, strict=True):
        result.examples.append((fact.prompts[0], text, verdict))
        if verdict == "kept":
            result.kept[fact.fact_id] = text
        else:
            result.dropped[verdict] += 1
    return result


def examine(lm: LanguageModel, facts: Sequence[Fact]) -> str:
    """Why this model cannot be asked to judge rewrites, or an empty text.

    Args:
        lm: the model, with its tokenizer.
        facts: the known pairs are made of these.
    """
    tokenizer = lm.tokenizer
    for text in (_WRITE, _JUDGE):
        if tokenizer.unk_token_id in encode_text(tokenizer, text, special=False)[0]:
            return "its tokenizer does not know the words of the request"
    same = [
        (fact.prompts[0], rewrite)
        for fact in facts
        for rewrite in [*fact.prompts[1:2], *fact.paraphrases[:1]][:1]
    ][:_MOST_PAIRS]
    other = [
        (fact.prompts[0], asked.prompts[0].replace(asked.subject, fact.subject))
        for fact, asked in zip(facts, [*facts[1:], *facts[:1]], strict=True)
        if fact.relation != asked.relation
    ][:_MOST_PAIRS]
    if min(len(same), len(other)) < _LEAST_PAIRS:
        return f"fewer than {_LEAST_PAIRS} known pairs to examine it with"
    right = _judge(lm, same), [not verdict for verdict in _judge(lm, other)]
    if min(sum(r) / len(r) for r in right) < _LEAST_RIGHT:
        return (
            f"it judges only {sum(right[0])} of {len(same)} known rewrites and {sum(right[1])} of "
            f"{len(other)} other questions right"
        )
    return ""


def _form(fact: Fact, text: str) -> str:
    """Why a rewrite cannot be used whatever it means, or an empty text."""
    if not text:
        return "nothing was written"
    if fact.subject not in text:
        return "rewrite without the subject"
    if fact.object in text:
        return "rewrite holds the answer"
    known = {" ".join(p.split()).casefold() for p in (*fact.prompts, *fact.paraphrases)}
    return "no new words" if " ".join(text.split()).casefold() in known else ""


def _judge(lm: LanguageModel, pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Does the model find "yes" more probable than "no"? A pair that does not fit counts as no."""
    texts = [_JUDGE.format(a=a, b=b) for a, b in pairs]
    yes, no = (recall(lm, texts, [word] * len(texts), _BATCH) for word in (" yes", " no"))
    return [
        isinstance(y, Recall) and isinstance(n, Recall) and y.probability > n.probability
        for y, n in zip(yes, no, strict=True)
    ]

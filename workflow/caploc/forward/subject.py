"""Where the subject of a fact stands among the tokens of its prompt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode_text
from caploc.records import Dropped, Sample
from caploc.samples.subjects import place_of

__all__ = ["Tokens", "sample_of", "tokens_of"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A fact as the model reads it.

    Attributes:
        prompt: token ids before the answer.
        answer: token ids of the answer, at least one.
        first: index of the first token of the subject.
        last: index of its last token; both lie inside the prompt.
    """

    prompt: list[int]
    answer: list[int]
    first: int
    last: int

    @property
    def read(self) -> list[int]:
        """Ids of the prompt and of the answer without its last token: all that predicts."""
        return [*self.prompt, *self.answer[:-1]]

    @property
    def slots(self) -> list[int]:
        """Position in `read` that predicts each answer token."""
        return [len(self.prompt) - 1 + m for m in range(len(self.answer))]


def tokens_of(lm: LanguageModel, sample: Sample) -> Tokens:
    """Tokenise a fact and find its subject, ``sample.meta["subject"]``, in the prompt.

    A token belongs to the subject if it shares a character with it, so a blank in front that the
    tokenizer glues to the first word does no harm.

    Args:
        lm: the model, with its tokenizer.
        sample: prompt and answer; meta names the subject as it stands in the prompt.

    Raises:
        Dropped: no subject, not in the prompt or more than once, without a token of its own,
            running into the answer; no answer tokens, an empty prompt, or too long.
    """
    subject = sample.meta.get("subject", "").strip()
    if not subject:
        raise Dropped("no subject")
    prompt, answer = lm.encode(sample.prompt, sample.answer)
    start, end = place_of(subject, sample.prompt)
    _, spans = encode_text(lm.tokenizer, sample.prompt + sample.answer)
    inside = [i for i, (a, b) in enumerate(spans) if a < end and b > start]
    if not inside:
        raise Dropped("subject has no token of its own")
    if inside[-1] >= len(prompt):
        raise Dropped("subject shares a token with the answer")
    return Tokens(prompt, answer, inside[0], inside[-1])


def sample_of(row: Mapping[str, Any], name: str | None = None) -> Sample:
    """A prompt of the file of `recall_facts` as locators read it.

    Args:
        row: fact_id, prompt_id, prompt, subject, object, counterfactual (may be empty).
        name: id of the sample; None means ``fact_id/prompt_id``.
    """
    meta = {"subject": row["subject"]}
    if row["counterfactual"]:
        meta["counterfactual"] = row["counterfactual"]
    name = name or f"{row['fact_id']}/{row['prompt_id']}"
    return Sample(name, row["prompt"], " " + row["object"], meta)

"""How long prompts and answers are, in tokens.

In this order: the samples of the run where they are prepared already (with the model's tokenizer
where it is on this disk), the key `tokens` of the task, a typical length of the plug-in, a guess.

Typical lengths of generated tasks are means over 400 samples in words and signs, which are the
tokens of the models that the workflow trains. Those of hub data sets are estimates: mean characters
of public samples (GSM8K; for MetaMathQA, Code25K and Emotion the stand-ins GSM8K-Backward, MBPP and
GoEmotions; CounterFact; TinyStories), over 4 characters a token of prose, 2.5 where digits and
signs are many. IMDB reviews are assumed to have 1,300 characters.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

__all__ = ["FACT", "GUESS", "TYPICAL", "Lengths", "measured", "tokenizer_of"]

_CHARACTERS_A_TOKEN = 4.0


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean lengths of the samples of a task.

    Attributes:
        prompt: tokens.
        answer: tokens.
        source: where the numbers come from, for people.
        answers: tokens of each answer, where they are known.
    """

    prompt: float
    answer: float
    source: str = "typical"
    answers: tuple[int, ...] = ()

    @property
    def total(self) -> float:
        """Tokens of prompt and answer."""
        return self.prompt + self.answer

    def scored(self, cap: int | None) -> float:
        """Mean answer tokens that are scored when at most `cap` are."""
        if cap is None:
            return self.answer
        if self.answers:
            return mean(min(n, cap) for n in self.answers)
        return min(self.answer, cap)


TYPICAL: dict[str, Lengths] = {
    "backward_problems": Lengths(28, 11),
    "calculations": Lengths(12, 1),
    "code_running": Lengths(23, 2.3),
    "code_writing": Lengths(19, 17),
    "emotions": Lengths(12.5, 1),
    "facts": Lengths(5, 1),
    "neutral": Lengths(5, 12),
    "number_words": Lengths(9.5, 2),
    "remarks": Lengths(9, 1),
    "reviews": Lengths(15, 1),
    "story_lookup": Lengths(20, 4),
    "word_problems": Lengths(21, 11),
    "gsm8k": Lengths(65, 116),
    "meta_math": Lengths(82, 250),
    "code25k": Lengths(25, 60),
    "emotion": Lengths(22, 1.5),
    "imdb": Lengths(330, 1.5),
    "plain_text": Lengths(40, 21),
}
FACT = Lengths(9, 1.5)
GUESS = Lengths(100, 50, "guess")


def measured(paths: Sequence[Path], tokenizer: Path | None) -> Lengths | None:
    """Lengths of samples that are prepared; None where a file is not there.

    Args:
        paths: Parquet files of one task.
        tokenizer: tokenizer.json of the model, or None.
    """
    if not paths or not all(path.is_file() for path in paths):
        return None
    import pyarrow.parquet as pq  # here, because most plans need none

    tables = [pq.read_table(path, columns=["prompt", "answer"]) for path in paths]
    prompts = [text for table in tables for text in table["prompt"].to_pylist()]
    answers = [text for table in tables for text in table["answer"].to_pylist()]
    if not prompts:
        return None
    if tokenizer is None or not tokenizer.is_file():
        told, said = (mean(map(len, texts)) / _CHARACTERS_A_TOKEN for texts in (prompts, answers))
        return Lengths(max(told, 1), max(said, 1), "characters of the run's samples")
    from tokenizers import Tokenizer

    known = Tokenizer.from_file(str(tokenizer))
    read, wrote = (
        [len(e.ids) for e in known.encode_batch(texts, add_special_tokens=False)]
        for texts in (prompts, answers)
    )
    return Lengths(mean(read), mean(wrote), "the run's samples", tuple(wrote))


def tokenizer_of(manifest: Path) -> Path | None:
    """tokenizer.json of the model that a manifest describes."""
    if not manifest.is_file():
        return None
    return manifest.parent / json.loads(manifest.read_text())["path"] / "tokenizer.json"

"""How long prompts and answers are, in tokens.

In this order: the samples of the run where they and the model's tokenizer are on this disk, the key
`tokens` of the task, its local files, a typical length of the plug-in, a guess.

Typical lengths of generated tasks are means over 400 samples in words and signs, which are the
tokens of the models that the workflow trains. Those of hub data sets are estimates: mean characters
of public samples (GSM8K; for MetaMathQA, Code25K and Emotion the stand-ins GSM8K-Backward, MBPP and
GoEmotions; CounterFact; TinyStories), over 4 characters a token of prose, 2.5 where digits and
signs are many. IMDB reviews are assumed to have 1,300 characters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from caploc.records import Sample

__all__ = ["FACT", "GUESS", "TYPICAL", "Lengths", "lengths_of_text", "measured"]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean lengths of the samples of a task.

    Attributes:
        prompt: tokens.
        answer: tokens.
        source: where the numbers come from, for people.
    """

    prompt: float
    answer: float
    source: str = "typical"

    @property
    def total(self) -> float:
        """Tokens of prompt and answer."""
        return self.prompt + self.answer


TYPICAL: dict[str, Lengths] = {
    "backward_problems": Lengths(28, 11),
    "antonyms": Lengths(20, 1),
    "capitals": Lengths(30, 2.5),
    "comparatives": Lengths(25.5, 1.7),
    "last_of_five": Lengths(39.5, 1),
    "opinions": Lengths(40.5, 1),
    "past_tense": Lengths(21.5, 1.1),
    "past_tense_sentence": Lengths(50, 1.25),
    "plurals": Lengths(21, 1.1),
    "small_sums": Lengths(47.5, 2.9),
    "upper_case": Lengths(27, 2.4),
    "noun_tasks": Lengths(29, 1.1),
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


def lengths_of_text(samples: Sequence[Sample]) -> dict[str, float]:
    """Rough lengths where no tokenizer is at hand: 4 characters a token, as in English prose.

    Args:
        samples: of one task, at least one.

    Returns:
        The key ``tokens`` of a task.
    """
    return {
        "prompt": mean(len(sample.prompt) for sample in samples) / 4,
        "answer": max(1.0, mean(len(sample.answer) for sample in samples) / 4),
    }


def measured(paths: Sequence[Path], tokenizer: Path) -> Lengths | None:
    """Lengths of samples that are prepared; None where a file is not there.

    Args:
        paths: Parquet files of one task.
        tokenizer: tokenizer.json of the model.
    """
    if not paths or not all(path.is_file() for path in (*paths, tokenizer)):
        return None
    import pyarrow as pa  # here, because most plans need none
    import pyarrow.parquet as pq
    from tokenizers import Tokenizer

    known = Tokenizer.from_file(str(tokenizer))
    table = pa.concat_tables(pq.read_table(path, columns=["prompt", "answer"]) for path in paths)
    if not table.num_rows:
        return None
    prompt, answer = (
        mean(len(e.ids) for e in known.encode_batch(column.to_pylist(), add_special_tokens=False))
        for column in table.columns
    )
    return Lengths(prompt, answer, "the run's samples")

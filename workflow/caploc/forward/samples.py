"""Models and samples as the stages that act on masks read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caploc.files import store
from caploc.models.language_model import LanguageModel
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import Dropped, Sample

__all__ = ["Encoded", "encoded", "model_of", "samples_of", "with_shots"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Samples that fit the model.

    Attributes:
        samples: those kept.
        prompts: token ids before the answer.
        answers: token ids of the answer.
        dropped: ``[sample_id, reason]`` of the others.
    """

    samples: list[Sample]
    prompts: list[list[int]]
    answers: list[list[int]]
    dropped: list[list[str]]

    @property
    def pairs(self) -> list[tuple[list[int], list[int]]]:
        """Tokens of prompt and answer of each sample."""
        return list(zip(self.prompts, self.answers, strict=True))


def model_of(path: Path, spec: dict[str, Any]) -> LanguageModel:
    """The model that a manifest describes."""
    manifest = store.read_json(path)
    # An absolute path stays what it is when joined.
    return load_model(path.parent / manifest["path"], dtype=spec["dtype"], device=spec["device"])


def samples_of(path: Path, n: int | None = None) -> list[Sample]:
    """The first n samples of a split; their order was drawn with the seed of the run."""
    table = store.read_table(path, ["sample_id", "prompt", "answer"]).slice(0, n)
    return [Sample(**row) for row in table.select(["sample_id", "prompt", "answer"]).to_pylist()]


def with_shots(samples: Sequence[Sample], examples: Sequence[Sample]) -> list[Sample]:
    """The same questions behind worked examples, with blank lines between."""
    before = "".join(f"{example.prompt}{example.answer}\n\n" for example in examples)
    return [Sample(s.sample_id, before + s.prompt, s.answer) for s in samples]


def encoded(lm: LanguageModel, samples: Sequence[Sample]) -> Encoded:
    """Token ids of samples; those that do not fit are left out with the reason."""
    found = Encoded([], [], [], [])
    for sample in samples:
        try:
            prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer, context=lm.context)
        except Dropped as reason:
            found.dropped.append([sample.sample_id, str(reason)])
            continue
        found.samples.append(sample)
        found.prompts.append(prompt)
        found.answers.append(answer)
    return found

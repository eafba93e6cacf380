"""Models and samples as stages read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caploc.files import store
from caploc.models.chat import rendered
from caploc.models.language_model import LanguageModel
from caploc.models.loading import load_model
from caploc.records import DataError, Dropped, Sample

__all__ = [
    "Encoded",
    "encoded",
    "in_chat",
    "model_of",
    "raw_samples",
    "samples_of",
    "with_shots",
]


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


def model_of(path: Path, spec: Mapping[str, Any]) -> LanguageModel:
    """The model that a manifest describes.

    Args:
        path: manifest.
        spec: ``dtype`` and ``device`` (float32 and the processor where left out); ``family`` of
            ``model`` as the configuration states it, if it does.

    Raises:
        DataError: the weights are damaged or not those that manifest and config describe.
    """
    manifest = store.read_json(path)
    # An absolute path stays what it is when joined.
    folder = path.parent / manifest["path"]
    lm = load_model(
        folder, dtype=spec.get("dtype", "float32"), device=spec.get("device"),
        family=manifest.get("family"),
    )  # fmt: skip
    found = {"n_layers": lm.n_layers, "n_neurons": lm.n_neurons, "family": lm.family.name}
    for key, value in found.items():
        if manifest.get(key) != value:
            raise DataError(
                f"{path}: {key} is {manifest.get(key)!r}, the weights in {manifest['path']} have "
                f"{value!r}; the manifest belongs to another model: delete it and run again"
            )
    if spec.get("family", lm.family.name) != lm.family.name:
        raise DataError(
            f"models.{spec['model']}.family is {spec['family']!r}, the weights are of family "
            f"{lm.family.name!r}; correct the config"
        )
    return lm


def samples_of(lm: LanguageModel, path: Path, n: int | None = None) -> list[Sample]:
    """The first n samples of a split, as the model reads them: see `in_chat`."""
    return in_chat(lm, raw_samples(path, n))


def raw_samples(path: Path, n: int | None = None, first: int = 0) -> list[Sample]:
    """Samples of a split, from one on; their order was drawn with the seed of the run.

    Those of a task with ``chat`` have its system text in ``meta["chat"]``.
    """
    names = ["sample_id", "prompt", "answer"]
    rows = store.read_table(path, names).slice(first, n).select(names).to_pylist()
    chat = store.read_metadata(path).get("chat")
    meta = {} if chat is None else {"chat": chat["system"] or ""}
    return [Sample(**row, meta=meta) for row in rows]


def in_chat(lm: LanguageModel, samples: Sequence[Sample]) -> list[Sample]:
    """Prompts of tasks with ``chat`` in the chat template of the model; others as they are.

    The answer then begins without white space.

    Raises:
        DataError: the model has no chat template, or one that knows no system text.
    """
    return [
        Sample(
            s.sample_id, rendered(lm.tokenizer, s.prompt, s.meta["chat"]), s.answer.lstrip()
        ) if "chat" in s.meta else s
        for s in samples
    ]  # fmt: skip


def with_shots(samples: Sequence[Sample], examples: Sequence[Sample]) -> list[Sample]:
    """The same questions behind worked examples, with blank lines between."""
    before = "".join(f"{example.prompt}{example.answer}\n\n" for example in examples)
    return [replace(s, prompt=before + s.prompt) for s in samples]


def encoded(lm: LanguageModel, samples: Sequence[Sample]) -> Encoded:
    """Token ids of samples; those that do not fit are left out with the reason."""
    found = Encoded([], [], [], [])
    for sample in samples:
        try:
            prompt, answer = lm.encode(sample.prompt, sample.answer)
        except Dropped as reason:
            found.dropped.append([sample.sample_id, str(reason)])
            continue
        found.samples.append(sample)
        found.prompts.append(prompt)
        found.answers.append(answer)
    return found

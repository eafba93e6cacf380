"""Questions in the chat template of a model, from the settings of a task to its answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from manifests import write_manifest
from transformers import AutoTokenizer

from caploc.files import store
from caploc.forward.generation import complete
from caploc.forward.samples import in_chat, model_of, raw_samples, samples_of, with_shots
from caploc.models import chat
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode_text
from caploc.records import DataError
from caploc.samples.splits import SPLITS
from caploc.stages import prepare_samples, shuffle_answers

TURNS = "{% for m in messages %}{{ m['content'] }} ? {% endfor %}"
TEMPLATE = TURNS + "{% if add_generation_prompt %}= {% endif %}"
STRICT = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"


def with_template(folder: Path, template: str | None) -> Path:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["?"]})
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    write_manifest(folder / "manifest.json", folder)
    return folder


@pytest.fixture
def load(save_model: Callable[..., Path]) -> Callable[..., LanguageModel]:
    return lambda template: model_of(
        with_template(save_model(), template) / "manifest.json", {"model": "m"}
    )


@pytest.mark.parametrize("template", [TEMPLATE, "{{ bos_token }} " + TEMPLATE])
def test_the_tokens_are_those_of_transformers(load: Any, template: str) -> None:
    """With one beginning of text, whether the template or the tokenizer writes it."""
    tokenizer = load(template).tokenizer
    for system in ("", "b c"):
        turns = [{"role": "system", "content": system}] if system else []
        turns.append({"role": "user", "content": "a b"})
        wanted = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        found = encode_text(tokenizer, chat.rendered(tokenizer, " a b\n", system))[0]
        assert found == [1, *(i for i in wanted if i != 1)]
    assert tokenizer.convert_ids_to_tokens(chat.end_tokens(tokenizer)) == ["?"]
    assert len(str(chat.template_digest(tokenizer))) == 64


def test_without_a_template(load: Any) -> None:
    tokenizer = load(None).tokenizer
    assert chat.template_digest(tokenizer) is None and chat.end_tokens(tokenizer) == []
    with pytest.raises(DataError, match="the tokenizer has no chat template; take `chat` out of"):
        chat.rendered(tokenizer, "a")
    strict = load(STRICT + TEMPLATE).tokenizer
    assert chat.rendered(strict, "a").startswith("a ?")
    with pytest.raises(DataError, match="chat template: no system"):
        chat.rendered(strict, "a", "b")


@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_answers_stop_at_the_end_of_a_turn(load: Any, template: str | None) -> None:
    lm = load(template)
    question = lm.tokenizer.convert_tokens_to_ids("?")
    with torch.no_grad():  # it says "?" whatever it reads
        lm.model.model.norm.weight.zero_()
        lm.model.lm_head.bias = torch.nn.Parameter(torch.zeros(len(lm.head.weight)))
        lm.model.lm_head.bias[question] = 1
    forward = lm.model.generate
    lengths = []

    def counted(**told: Any) -> Any:
        found = forward(**told)
        lengths.append(found.shape[1] - told["input_ids"].shape[1])
        return found

    lm.model.generate = counted
    list(complete(lm, ["a b"], [" one two three"], 1))
    assert lengths == ([1] if template else [12])


def test_a_task_in_chat(load: Any, tmp_path: Path, make_job: Callable[..., Any]) -> None:
    spec = {"task": "t", "plugin": "emotions", "samples": dict.fromkeys(SPLITS, 5), "seed": 0}
    outputs = {split: tmp_path / f"{split}.parquet" for split in SPLITS}
    prepare_samples.run(
        make_job("prepare_samples", spec | {"chat": True, "system": "b c"}, {}, outputs)
    )
    assert store.read_metadata(outputs["test"])["chat"] == {"system": "b c"}
    lm = load(TEMPLATE)
    raw, read = raw_samples(outputs["test"]), samples_of(lm, outputs["test"], 3)
    for one, other in zip(raw, read, strict=False):
        assert other.prompt == f"b c ? {one.prompt.strip()} ? = "
        assert (other.answer, other.sample_id) == (one.answer.strip(), one.sample_id)
    assert len(read) == 3 and in_chat(lm, read) == read
    (shot,) = in_chat(lm, with_shots(raw[:1], raw[1:2]))
    assert shot.prompt.count("?") == 2 and raw[1].answer in shot.prompt
    shuffled = {"samples": tmp_path / "shuffled.parquet"}
    job = make_job(
        "shuffle_answers", {"task": "t", "seed": 0}, {"samples": [outputs["test"]]}, shuffled
    )
    shuffle_answers.run(job)
    assert {s.prompt for s in samples_of(lm, shuffled["samples"])} >= {s.prompt for s in read}
    prepare_samples.run(make_job("prepare_samples", spec, {}, outputs))
    assert samples_of(lm, outputs["test"]) == raw_samples(outputs["test"])

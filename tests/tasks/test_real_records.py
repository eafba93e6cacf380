"""The paper's data sets, or what stands in for them, as they really look."""

import json
from pathlib import Path

import pytest

from caploc.samples.preparation import prepare
from caploc.tasks import code25k, emotion, generic, gsm8k, imdb, meta_math

pytestmark = pytest.mark.shared

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
WANTED = {"locate": 200, "train": 150, "validation": 50, "test": 100}


@pytest.fixture(autouse=True)
def _records():
    if not DATA.is_dir():
        pytest.skip(f"no real records: {DATA} is not there")


def samples_of(task, **settings):
    splits = prepare(task, {"task": "real"} | settings, WANTED, 0)
    return splits, [s for split in splits.values() for s in split.samples]


def test_gsm8k_answers_score_against_themselves_only():
    files = {name: str(DATA / f"gsm8k/{name}.jsonl") for name in ("train", "test")}
    splits, samples = samples_of(gsm8k.TASK, files=files)
    assert {k: len(v.samples) for k, v in splits.items()} == WANTED
    assert not splits["locate"].dropped
    others = samples[1:] + samples[:1]
    for sample, other in zip(samples, others, strict=True):
        assert gsm8k.TASK.score(sample.answer, sample.answer)
        assert not gsm8k.TASK.score(sample.answer, sample.answer + "1")
        equal = sample.meta["number"] == other.meta["number"]
        assert gsm8k.TASK.score(sample.answer, other.answer) is equal
        assert not gsm8k.TASK.score(sample.answer, sample.answer.replace("####", ""))


def test_every_gsm8k_answer_has_a_number():
    with (DATA / "gsm8k/train.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    numbers = [gsm8k.TASK.to_sample(row)[2]["number"] for row in rows]
    plain = [row["answer"].rsplit("####", 1)[1].strip().replace(",", "") for row in rows]
    assert numbers == plain


def test_backward_questions_drop_wrong_chains_of_thought():
    splits, samples = samples_of(
        meta_math.TASK,
        files=str(DATA / "metamath_gsm8k_backward/GSM8K_Backward.jsonl"),
        columns={"query": "question", "response": "inv_question_pred_answer", "expected": "answer"},
    )
    assert len(samples) > 100
    assert splits["locate"].dropped["the chain of thought ends in another result"] > 10
    assert all(meta_math.TASK.score(s.answer, s.answer) for s in samples)


def test_emotions_of_comments():
    labels = (DATA / "goemotions_ekman/labels.txt").read_text().split()
    splits, samples = samples_of(
        emotion.TASK,
        files=str(DATA / "goemotions_ekman/train.tsv"),
        header=["text", "label", "comment"],
        labels=labels,
    )
    assert {k: len(v.samples) for k, v in splits.items()} == WANTED
    assert {s.meta["label"] for s in samples} == set(labels)


def test_sentiment_of_sentences():
    _, samples = samples_of(
        imdb.TASK,
        files=str(DATA / "imdb_sentences/imdb_labelled.txt"),
        format="tsv",
        header=["text", "label"],
    )
    assert len(samples) == 500
    assert {s.answer for s in samples} == {" negative", " positive"}


def test_sentiment_by_file():
    files = {
        "positive": str(DATA / "movie_polarity/rt-polarity.pos"),
        "negative": str(DATA / "movie_polarity/rt-polarity.neg"),
    }
    _, samples = samples_of(imdb.TASK, files=files, format="text", columns={"label": "split"})
    n_positive = sum(s.meta["label"] == "positive" for s in samples)
    assert 200 < n_positive < 300


def test_programs():
    _, samples = samples_of(
        code25k.TASK,
        files=str(DATA / "mbpp/mbpp.jsonl"),
        columns={"instruction": "text", "output": "code"},
    )
    assert len(samples) == 500
    assert not any("\r" in s.answer for s in samples)
    assert all(code25k.TASK.score(s.answer, s.answer) for s in samples)


def test_prompts_of_facts():
    path = str(DATA / "known_1000/known_1000.json")
    _, samples = samples_of(generic.TASK, files=path, prompt="{prompt}", answer=" {attribute}")
    assert len(samples) == 500
    assert all(generic.TASK.score(s.answer, s.answer) for s in samples)

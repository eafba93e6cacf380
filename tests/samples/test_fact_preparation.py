"""Facts that cannot be used are left out with a reason, rewrites one by one."""

import pytest

from caploc.records import DataError, Dropped, Fact
from caploc.samples.fact_preparation import choose
from caploc.samples.subjects import asked_about, place_of, relation_of
from caploc.stages import prepare_facts


def fact(i=0, **changes):
    given = {
        "fact_id": str(i), "subject": f"S{i}", "relation": "r", "object": " obj ",
        "prompts": (f"S{i} is ", f"It is S{i}"), "paraphrases": (f"One says S{i} is",),
    }  # fmt: skip
    return Fact(**given | changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"object": "  "}, "empty object"),
        ({"subject": " "}, "empty subject"),
        ({"prompts": ("  ",)}, "empty prompt"),
        ({"prompts": ()}, "empty prompt"),
        ({"prompts": ("s0 is",)}, "subject not in the prompt"),
    ],
)
def test_unusable_facts_are_counted(changes, reason):
    chosen = choose([fact(**changes), fact(1)], 10, 0)
    assert chosen.dropped == {reason: 1}
    assert [f.fact_id for f in chosen.facts] == ["1"]


def test_a_subject_is_a_word_of_its_own():
    prompt = "The sentiment of 'time' is"
    assert prompt[slice(*place_of("time", prompt))] == "time"
    assert place_of("time", prompt)[0] == prompt.index("'time'") + 1
    assert relation_of(prompt, "time") == "The sentiment of '{}' is"
    assert asked_about("joy", prompt, "time") == "The sentiment of 'joy' is"
    assert relation_of("No such word", "time") == "No such word"
    assert relation_of("In timeless", "time") == "In {}less"  # nowhere as a word
    with pytest.raises(Dropped, match="more than once"):
        place_of("time", "time is time")


def test_texts_are_trimmed_because_the_answer_brings_the_space():
    (kept,) = choose([fact()], 1, 0).facts
    assert kept.object == "obj"
    assert kept.prompts[0] == "S0 is"


def test_repeated_facts_and_ids_count_once():
    chosen = choose([fact(), fact(), fact(1, fact_id="0"), Dropped("no answer")], 9, 0)
    assert chosen.dropped == {
        "duplicate fact": 1, "another fact has the same id": 1, "no answer": 1,
    }  # fmt: skip
    assert chosen.available == 1


def test_rewrites_without_the_subject_or_without_news_are_left_out():
    chosen = choose(
        [fact(prompts=("S0 is", "He is", "S0 is "), paraphrases=("Is S0 so", "Is S0 so"))], 1, 0
    )
    assert chosen.facts[0].prompts == ("S0 is",)
    assert chosen.facts[0].paraphrases == ("Is S0 so",)
    assert chosen.rewrites_dropped == {
        "rewrite without the subject": 1, "rewrite equal to another prompt of the fact": 2,
    }  # fmt: skip


def test_a_fact_without_rewrites_stays():
    assert len(choose([fact(prompts=("S0 is",), paraphrases=())], 1, 0).facts) == 1


def test_the_seed_decides_which_facts():
    facts = [fact(i) for i in range(50)]
    first = [f.fact_id for f in choose(facts, 10, 0).facts]
    assert first == [f.fact_id for f in choose(facts, 10, 0).facts]
    assert first != [f.fact_id for f in choose(facts, 10, 1).facts]
    # more facts are a superset: a larger run keeps what a smaller one chose
    assert [f.fact_id for f in choose(facts, 20, 0).facts][:10] == first


def test_the_stage_writes_what_it_reads_back(tmp_path, make_job):
    spec = {"facts": "invented", "plugin": "knowledge_base", "n": 7, "seed": 0}
    path = tmp_path / "facts.parquet"
    prepare_facts.run(make_job("prepare_facts", spec, {}, {"facts": path}))
    facts = prepare_facts.read_facts(path)
    assert len(facts) == 7
    assert all(len(f.prompts) == 4 and isinstance(f.prompts, tuple) for f in facts)


def test_no_usable_fact_is_one_clear_error(tmp_path, make_job):
    rows = tmp_path / "z.jsonl"
    rows.write_text('{"subject": "A", "src": "Who?", "answers": ["x"], "rephrase": "Who is it?"}\n')
    spec = {"facts": "mine", "plugin": "zsre", "n": 7, "seed": 0, "files": str(rows)}
    job = make_job("prepare_facts", spec, {}, {"facts": tmp_path / "facts.parquet"})
    with pytest.raises(
        DataError, match=r"no usable fact among 1 records \(1 x subject not in the prompt\)"
    ):
        prepare_facts.run(job)
    assert not (tmp_path / "facts.parquet").exists()

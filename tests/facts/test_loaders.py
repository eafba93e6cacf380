"""Rows of every set of facts, in each of its published forms, become the same kind of record."""

import json

import pytest

from caploc import plugins
from caploc.records import DataError, Dropped, Fact

NESTED = {
    "case_id": 7,
    "pararel_idx": 2796,
    "requested_rewrite": {
        "prompt": "The mother tongue of {} is",
        "relation_id": "P103",
        "target_new": {"str": "English", "id": "Q1860"},
        "target_true": {"str": "French", "id": "Q150"},
        "subject": "Danielle Darrieux",
    },
    "paraphrase_prompts": [
        "It rained all day. Danielle Darrieux, a native",
        "A book was found. Danielle Darrieux spoke the language",
    ],
    "neighborhood_prompts": ["The mother tongue of Michel Rocard is"],
    "attribute_prompts": ["The mother tongue of Douglas Adams is"],
    "generation_prompts": ["Danielle Darrieux's mother tongue is"],
}
FLAT = {
    "case_id": 7,
    "prompt": "The mother tongue of Danielle Darrieux is",
    "target_new": "English",
    "subject": "Danielle Darrieux",
    "ground_truth": "French",
    "rephrase_prompt": "Danielle Darrieux is a native speaker of",
    "locality_prompt": "The mother tongue of Michel Rocard is",
    "locality_ground_truth": "French",
}


def read(name, **settings):
    return plugins.load("facts", name).FACTS.read(settings)


def as_json(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return str(path)


def as_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_counterfact_nested(tmp_path):
    broken = json.loads(json.dumps(NESTED))
    broken["requested_rewrite"]["prompt"] = "The mother tongue is"
    found = read("counterfact", files=as_json(tmp_path / "cf.json", [NESTED, broken]))
    assert found.facts[0] == Fact(
        fact_id="7",
        subject="Danielle Darrieux",
        relation="P103",
        object="French",
        prompts=("The mother tongue of Danielle Darrieux is",),
        paraphrases=tuple(NESTED["paraphrase_prompts"]),
        neighbourhood=("The mother tongue of Michel Rocard is",),
        new_object="English",
    )
    assert isinstance(found.facts[1], Dropped)
    assert str(found.facts[1]) == "no place for the subject in the prompt"
    assert len(found.sources[0]["sha256"]) == 64


def test_counterfact_flat_has_the_same_content_and_a_template_for_the_relation(tmp_path):
    (fact,) = read("counterfact", files=as_json(tmp_path / "cf.json", [FLAT])).facts
    assert fact.relation == "The mother tongue of {} is"
    assert (fact.object, fact.new_object) == ("French", "English")
    assert fact.paraphrases == ("Danielle Darrieux is a native speaker of",)


def test_zsre(tmp_path):
    row = {
        "subject": "UniFirst", "src": "What does UniFirst make?", "pred": "something else",
        "rephrase": "What is made by UniFirst?", "alt": "aircraft", "answers": ["uniforms", "s"],
        "loc": "nq question: who sang it", "loc_ans": "she", "cond": "",
    }  # fmt: skip
    found = read("zsre", files=as_json(tmp_path / "z.json", [row, row | {"answers": []}])).facts
    assert found[0] == Fact(
        "0", "UniFirst", "What does {} make?", "uniforms", ("What does UniFirst make?",),
        ("What is made by UniFirst?",), ("nq question: who sang it",), "aircraft",
    )  # fmt: skip
    assert str(found[1]) == "no 'answers'"


def test_known_1000_takes_rewrites_from_templates_that_several_facts_use(tmp_path):
    def row(i, subject, template, relation="P127"):
        prompt = template.format(subject)
        return {"known_id": i, "subject": subject, "attribute": "X", "template": template,
                "prompt": prompt, "relation_id": relation, "prediction": ""}  # fmt: skip

    rows = [
        *(row(i, name, "{} is owned by") for i, name in enumerate("ABC")),
        *(row(3 + i, name, "the owner of {} is") for i, name in enumerate("DEF")),
        row(6, "G", "{} belongs to quantum"),
        row(7, "H", "{} is in the continent of", "P30"),
        row(8, "Zed", "{} is owned by") | {"prompt": "It is owned by"},
    ]
    found = read("known_1000", files=as_json(tmp_path / "k.json", rows)).facts
    assert found[0].prompts == ("A is owned by", "the owner of A is")
    assert found[6].prompts == ("G belongs to quantum", "G is owned by", "the owner of G is")
    assert found[7].prompts == ("H is in the continent of",)
    assert str(found[8]) == "subject not found in the prompt"


def test_pararel_keeps_patterns_that_end_in_the_object(tmp_path):
    facts = [{"sub_label": "Ann\u0085B", "obj_label": "actor", "uuid": "u1"}]
    as_lines(tmp_path / "trex_lms_vocab/P106.jsonl", facts)
    as_lines(tmp_path / "trex_lms_vocab/P999.jsonl", facts)
    patterns = [
        "[X] is a [Y] by profession.", "[X] works as [Y].", "[X]'s occupation is [Y]", "[Y]: [X].",
    ]  # fmt: skip
    as_lines(tmp_path / "pattern_data/graphs_json/P106.jsonl", [{"pattern": p} for p in patterns])
    as_lines(tmp_path / "pattern_data/graphs_json/P999.jsonl", [{"pattern": "[Y] of [X]."}])
    found = read("pararel", files=str(tmp_path)).facts
    assert found[0] == Fact(
        "P106-u1", "Ann\u0085B", "P106", "actor",
        ("Ann\u0085B works as", "Ann\u0085B's occupation is"),
    )  # fmt: skip
    assert str(found[1]) == "no pattern of the relation ends in the object"


def test_lre(tmp_path):
    relation = {
        "name": "adjective antonym", "prompt_templates": ["The opposite of {} is"],
        "prompt_templates_zs": ["The opposite of {} is", "The antonym of {} is"],
        "properties": {}, "samples": [{"subject": "old", "object": "young"}],
    }  # fmt: skip
    as_json(tmp_path / "linguistic/antonym.json", relation)
    (fact,) = read("lre", files=str(tmp_path)).facts
    assert fact == Fact(
        "antonym-0", "old", "adjective antonym", "young",
        ("The opposite of old is", "The antonym of old is"),
    )  # fmt: skip
    as_json(tmp_path / "linguistic/broken.json", {"name": "x"})
    with pytest.raises(DataError, match=r"broken\.json: is no relation .*prompt_templates"):
        read("lre", files=str(tmp_path))


def test_the_knowledge_base_asks_first_in_a_shown_phrasing_then_in_one_never_shown():
    from caploc.tasks.facts import TASK, TEMPLATES, knowledge

    facts = read("knowledge_base").facts
    assert len(facts) == len(knowledge()) == 240
    fact = next(f for f in facts if f.fact_id == "Zorvan-pet")
    texts = [t.format(s="Zorvan") for t in TEMPLATES["pet"]]
    assert sorted(fact.prompts) == sorted(texts)
    held_out = [
        TASK.is_held_out(
            p, {"subject": "Zorvan", "relation": "pet", "phrasing": str(texts.index(p))}
        )
        for p in fact.prompts
    ]
    assert held_out == [False, True, True, False]
    assert fact.object == knowledge()["Zorvan", "pet"]


@pytest.mark.parametrize("name", ["pararel", "lre"])
def test_a_folder_without_the_files_is_refused(name, tmp_path):
    with pytest.raises(DataError, match=r"holds none of .*as published"):
        read(name, files=str(tmp_path))
    with pytest.raises(DataError, match="no data set of their own: set `files`"):
        read(name)


def test_a_set_without_a_hub_address_asks_for_files():
    with pytest.raises(DataError, match="no data set of its own: set `files`"):
        read("zsre")


KNOWN = {"known_id": 0, "subject": "Vinson", "attribute": "Antarctica", "relation_id": "P30",
         "prompt": "Vinson is located in"}  # fmt: skip
ZSRE = {"subject": "Illinois", "src": "Which country is Illinois in?", "answers": ["USA"],
        "rephrase": "What is the country of Illinois?", "loc": None, "alt": None}  # fmt: skip
LRE = {
    "name": "capital", "prompt_templates": ["The capital of {} is"], "prompt_templates_zs": [],
    "samples": [{"subject": "France", "object": "Paris"}],
}  # fmt: skip
TREX = {"uuid": "u", "sub_label": "France", "obj_label": "Paris"}


def one_fact(tmp_path, plugin, key, value):
    """The only fact of a data set in which one value was exchanged."""
    if plugin == "lre":
        changed = LRE | {"samples": [LRE["samples"][0] | {key: value}]}
        as_json(tmp_path / "r" / "a.json", changed)
        return read(plugin, files=str(tmp_path / "r")).facts[0]
    if plugin == "pararel":
        as_lines(tmp_path / "d/pattern_data/graphs_json/P.jsonl", [{"pattern": "[X] is in [Y]."}])
        as_lines(tmp_path / "d/trex_lms_vocab/P.jsonl", [TREX | {key: value}])
        return read(plugin, files=str(tmp_path / "d")).facts[0]
    row = {"counterfact": FLAT, "known_1000": KNOWN, "zsre": ZSRE}[plugin] | {key: value}
    return read(plugin, files=as_json(tmp_path / "x.json", [row])).facts[0]


@pytest.mark.parametrize(
    ("plugin", "key"),
    [
        *(("counterfact", k) for k in ("prompt", "subject", "ground_truth")),
        *(("known_1000", k) for k in ("prompt", "subject", "attribute", "relation_id")),
        *(("zsre", k) for k in ("src", "subject", "answers")),
        *(("lre", k) for k in ("subject", "object")),
        *(("pararel", k) for k in ("sub_label", "obj_label")),
    ],
)
def test_a_value_of_another_type_drops_the_fact_or_is_read(tmp_path, plugin, key):
    for i, (value, reason) in enumerate(
        ((None, f"no {key!r}"), ([], f"no {key!r}"), ({"a": 1}, f"column {key!r} holds a dict"))
    ):
        found = one_fact(tmp_path / str(i), plugin, key, value)
        assert isinstance(found, Dropped) and str(found) == reason
    if key in ("ground_truth", "attribute", "answers", "object", "obj_label"):
        # KnowEdit has a list of right answers; a number is what it looks like.
        assert one_fact(tmp_path / "list", plugin, key, ["Illinois", "IL"]).object == "Illinois"
        assert one_fact(tmp_path / "text", plugin, key, "Illinois").object == "Illinois"
        assert one_fact(tmp_path / "number", plugin, key, 1492).object == "1492"

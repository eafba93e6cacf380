"""Published sets of facts, as they really look."""

from pathlib import Path

import pytest

from caploc import plugins
from caploc.samples.fact_preparation import choose

pytestmark = pytest.mark.shared

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def _records():
    if not DATA.is_dir():
        pytest.skip(f"no real records: {DATA} is not there")


@pytest.mark.parametrize(
    ("name", "files", "n", "least_with_rewrite", "relations"),
    [
        ("counterfact", "counterfact/counterfact-edit.json", 1500, 0.99, 40),
        ("zsre", "zsre/zsre_mend_train.json", 700, 0.99, 100),
        ("known_1000", "known_1000/known_1000.json", 905, 0.8, 30),
        ("pararel", "pararel", 1482, 0.8, 39),
        ("lre", "lre_relations", 1254, 0.9, 40),
    ],
)
def test_every_record_becomes_a_fact_and_nearly_all_have_a_rewrite(
    name, files, n, least_with_rewrite, relations
):
    reading = plugins.load("facts", name).FACTS.read({"files": str(DATA / files)})
    chosen = choose(reading.facts, 10_000, 0)
    assert len(reading.facts) == n
    assert chosen.available > 0.98 * n, chosen.dropped
    rewritten = [f for f in chosen.facts if f.paraphrases or len(f.prompts) > 1]
    assert len(rewritten) >= least_with_rewrite * n
    assert len({f.relation for f in chosen.facts}) >= relations
    for fact in chosen.facts:
        for prompt in (*fact.prompts, *fact.paraphrases):
            assert fact.subject in prompt
            assert "[Y]" not in prompt and "{}" not in prompt

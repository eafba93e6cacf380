"""Lengths of samples: from the run, from the config, from the table."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from caploc import plugins
from caploc.estimate.lengths import TYPICAL, Lengths, measured


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "locate.parquet"
    table = pa.table({"prompt": ["one two three", "one"], "answer": ["two", "two three one"]})
    pq.write_table(table, path)
    return path


def test_with_the_tokenizer_of_the_model(samples, tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "one": 1, "two": 2}, "?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = measured([samples], tmp_path / "tokenizer.json")
    assert (found.prompt, found.answer, found.answers) == (2, 2, (1, 3))
    assert found.scored(2) == 1.5
    assert found.scored(None) == 2


def test_without_a_tokenizer_characters_are_counted(samples):
    found = measured([samples], None)
    assert found.prompt == 2.0  # (13 + 3) / 2 characters, 4 a token
    assert found.source.startswith("characters")


def test_samples_that_are_not_there(tmp_path):
    assert measured([tmp_path / "none.parquet"], None) is None
    assert measured([], None) is None


def test_a_cap_on_a_mean():
    assert Lengths(5, 100).scored(64) == 64
    assert Lengths(5, 10).scored(64) == 10


def test_the_table_knows_every_plugin_with_data_of_its_own():
    own = {n for n in plugins.names("tasks") if n != "generic"}
    assert own == set(TYPICAL)

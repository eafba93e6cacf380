"""Lengths of samples: from the run, from the config, from the table."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from caploc import plugins
from caploc.estimate.lengths import TYPICAL, measured


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
    assert (found.prompt, found.answer, found.source) == (2, 2, "the run's samples")


def test_samples_or_a_tokenizer_that_are_not_there(samples, tmp_path):
    assert measured([tmp_path / "none.parquet"], tmp_path / "tokenizer.json") is None
    assert measured([samples], tmp_path / "none.json") is None
    assert measured([], tmp_path / "tokenizer.json") is None


def test_the_table_knows_every_plugin_with_data_of_its_own():
    own = {n for n in plugins.names("tasks") if n != "generic"}
    assert own == set(TYPICAL)

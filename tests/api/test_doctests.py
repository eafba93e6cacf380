"""The examples of docstrings are run on a tiny model, and every name of a notebook has one."""

import doctest
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import caploc

PAIRS = [("a b =", " one"), ("c d =", " two three"), ("a =", " two"), ("b c d =", " four")]
MODULES = sorted({getattr(caploc, n).__module__ for n in caploc._EXPORTS})
SHOWN = {name for name, module in caploc._EXPORTS.items() if module.startswith("caploc.api")}
SHOWN |= {"load_model", "attribute", "iou", "overlap", "snakefile"}


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_a_name_has_an_example(name: str) -> None:
    assert ">>> " in getattr(caploc, name).__doc__


@pytest.mark.parametrize("module", MODULES)
def test_examples_are_true(
    module: str, model: Any, tokenizer: Any, save_model: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    names = {
        "caploc": caploc, "model": model, "tokenizer": tokenizer, "pairs": PAIRS,
        "folder": save_model("saved"), "found": caploc.locate(model, tokenizer, PAIRS, sigma=2),
    }  # fmt: skip
    assert not doctest.testmod(import_module(module), extraglobs=names).failed

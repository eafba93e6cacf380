"""A tiny model and its tokenizer, as a notebook loads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.fixture
def model(save_model: Callable[..., Path]) -> Any:
    return AutoModelForCausalLM.from_pretrained(save_model(), dtype=torch.float64)


@pytest.fixture
def tokenizer(save_model: Callable[..., Path]) -> Any:
    return AutoTokenizer.from_pretrained(save_model("tokenizer"))

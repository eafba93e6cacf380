"""Loading: what comes back, and that every unusable folder is refused with its reason."""

import json
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import (
    DiffLlamaConfig,
    DiffLlamaForCausalLM,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from caploc import plugins
from caploc.attribution.model_check import check_model
from caploc.models import loading as _loading
from caploc.models.families import llama
from caploc.models.family import Family
from caploc.models.language_model import wrap_model
from caploc.models.loading import load_model
from caploc.models.recognition import family_of
from caploc.records import DataError

SaveModel = Callable[..., Path]


SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 37}  # fmt: skip


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_loads_what_was_saved(save_model: SaveModel) -> None:
    folder = save_model()
    lm = load_model(folder)
    assert (lm.n_layers, lm.n_neurons, lm.context) == (3, 24, 32)
    assert lm.family.name == "llama" and lm.dtype == torch.float32 and lm.device.type == "cpu"
    assert len(lm.blocks) == 3 and lm.projections[2] is lm.model.model.layers[2].mlp.down_proj
    assert lm.final_norm is lm.model.model.norm and lm.head is lm.model.lm_head
    assert not lm.model.training
    assert not any(p.requires_grad for p in lm.model.parameters())
    assert lm.model.config._attn_implementation == "sdpa"
    ids = torch.tensor([[1, 5, 7]])
    expected = LlamaForCausalLM.from_pretrained(folder)(ids).logits
    torch.testing.assert_close(lm.model(ids).logits, expected)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_dtype(save_model: SaveModel, dtype: str) -> None:
    lm = load_model(str(save_model()), dtype=dtype)
    assert lm.dtype == getattr(torch, dtype)


def test_gptj_width_is_four_times_hidden_unless_said() -> None:
    sizes = {"n_embd": 8, "n_layer": 2, "n_head": 2, "rotary_dim": 4, "vocab_size": 11,
             "n_positions": 16}  # fmt: skip
    for n_inner, width in ((None, 32), (20, 20)):
        lm = wrap_model(GPTJForCausalLM(GPTJConfig(n_inner=n_inner, **sizes)))
        assert (lm.family.name, lm.n_layers, lm.n_neurons, lm.context) == ("gptj", 2, width, 16)
        assert lm.projections[1] is lm.model.transformer.h[1].mlp.fc_out


def test_every_family_is_named_as_its_file() -> None:
    architectures: list[str] = []
    for name in plugins.names("families"):
        family = plugins.load("families", name).FAMILY
        assert isinstance(family, Family) and family.name == name
        assert all(family_of(a) is family for a in family.architectures)
        architectures += family.architectures
    assert len(architectures) == len(set(architectures))


# Refusals ----------------------------------------------------------------------------------------


def refused(folder: Any, message: str, **settings: Any) -> None:
    with pytest.raises(DataError, match=message):
        load_model(folder, **settings)


def test_unknown_architecture(save_model: SaveModel) -> None:
    folder = save_model()
    edit_config(folder, architectures=["MambaForCausalLM"])
    refused(
        folder,
        r"architecture 'MambaForCausalLM' belongs to no known family, and its blocks look like "
        r"those of none; docs/families\.md lists .* docs/adding-a-family\.md",
    )
    for page in ("docs/adding-a-family.md", "docs/families.md"):
        assert (Path(__file__).parents[2] / page).is_file()


def test_architecture_that_nobody_named(
    save_model: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tuple(a for a in llama.FAMILY.architectures if a != "SmolLM3ForCausalLM")
    monkeypatch.setattr(llama, "FAMILY", replace(llama.FAMILY, architectures=named))
    folder = save_model()
    edit_config(folder, model_type="smollm3", architectures=["SmolLM3ForCausalLM"])
    message = r"looks like llama: set `family: llama` to try .*; it will be checked"
    refused(folder, message)
    lm = load_model(folder, family="llama", dtype="float64")
    assert lm.tried and lm.family.name == "llama" and not check_model(lm, "pre")
    with pytest.raises(DataError, match=message):
        wrap_model(lm.model)
    # What it looks like is not what it is.
    model = DiffLlamaForCausalLM(DiffLlamaConfig(**SIZES))
    with pytest.raises(DataError, match="looks like llama"):
        wrap_model(model)
    with pytest.raises(DataError, match=r"DiffLlamaForCausalLM: rows with the shared prefix do"):
        check_model(wrap_model(model, family="llama"))


@pytest.mark.parametrize(
    "architecture",
    ["BertForMaskedLM", "T5ForConditionalGeneration", "LlamaForSequenceClassification"],
)
def test_not_a_decoder(save_model: SaveModel, architecture: str) -> None:
    folder = save_model()
    edit_config(folder, architectures=[architecture])
    refused(folder, f"architecture '{architecture}' is not a decoder .* families .*llama")


def test_quantised_weights(save_model: SaveModel) -> None:
    folder = save_model()
    lm = load_model(folder)
    edit_config(folder, quantization_config={"quant_method": "gptq", "bits": 4})
    refused(folder, r"the weights are quantised \(gptq\), and no gradient .* the unquantised model")
    down = lm.projections[1]
    down.weight = torch.nn.Parameter(down.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(
        DataError, match=r"layers\.1\.mlp\.down_proj\.weight is stored as torch\.int8"
    ):
        wrap_model(lm.model)


def test_context_of_a_model_whose_rotation_depends_on_the_length() -> None:
    factors = {"short_factor": [1.0, 1.5], "long_factor": [2.0, 4.0], "factor": 4.0}
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 16}
    config = LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        vocab_size=11, max_position_embeddings=64, rope_parameters=rope | factors,
    )  # fmt: skip
    assert wrap_model(LlamaForCausalLM(config)).context == 16


def test_width_that_disagrees_with_the_weights(save_model: SaveModel) -> None:
    folder = save_model()
    edit_config(folder, intermediate_size=25)
    message = (
        r"LlamaForCausalLM: mlp\.down_proj takes 24 inputs but config\.intermediate_size is 25"
    )
    refused(folder, message)


def test_width_of_a_model_in_memory(save_model: SaveModel) -> None:
    lm = load_model(save_model())
    lm.model.config.intermediate_size = 25
    with pytest.raises(DataError, match="takes 24 inputs but"):
        wrap_model(lm.model)


def test_number_of_layers_that_disagrees(save_model: SaveModel) -> None:
    folder = save_model()
    edit_config(folder, num_hidden_layers=4)
    refused(folder, r"weights of LlamaForCausalLM are missing .* model\.layers\.3\.")


def test_hidden_size_that_disagrees(save_model: SaveModel) -> None:
    folder = save_model()
    edit_config(folder, hidden_size=32)
    refused(folder, re.escape(str(folder)))


def test_truncated_weights(save_model: SaveModel) -> None:
    folder = save_model()
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for size in (0, 100, len(whole) - 10):
        path.write_bytes(whole[:size])
        refused(folder, rf"model\.safetensors: damaged or missing weights \({size} bytes, .*again")


def test_absent_weights(save_model: SaveModel) -> None:
    folder = save_model()
    (folder / "model.safetensors").unlink()
    refused(folder, r"model\.safetensors: damaged or missing weights \(the file is not there\)")


def test_absent_or_truncated_shard(save_model: SaveModel) -> None:
    folder = save_model(max_shard_size="8KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert load_model(folder).n_layers == 3
    content = shards[1].read_bytes()
    shards[1].write_bytes(content[:-1])
    refused(folder, rf"{shards[1].name}: damaged or missing")
    shards[1].unlink()
    refused(folder, rf"{shards[1].name}: damaged or missing weights \(the file is not there")


def test_damaged_index(save_model: SaveModel) -> None:
    folder = save_model(max_shard_size="8KB")
    (folder / "model.safetensors.index.json").write_text("{")
    refused(folder, "not a list of weight files")


def test_a_tensor_that_is_missing(save_model: SaveModel) -> None:
    folder = save_model()
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.norm.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    refused(folder, r"1 weights of LlamaForCausalLM are missing .*model\.norm\.weight")


def test_not_a_model_folder(tmp_path: Path) -> None:
    refused(tmp_path, "no usable config.json")
    refused(tmp_path / "nothing", "no such folder")
    refused(str(tmp_path / "nothing"), "no such folder")
    refused("./nothing", "no such folder")


def test_no_tokenizer(save_model: SaveModel) -> None:
    folder = save_model()
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refused(folder, "tokenizer")


def test_architecture_is_not_named(save_model: SaveModel) -> None:
    folder = save_model()
    edit_config(folder, architectures=None)
    refused(folder, "`architectures` is missing")


def test_dtype_and_device_that_do_not_exist(
    save_model: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model()
    refused(folder, "unknown dtype 'int8'; available: float32", dtype="int8")
    refused(folder, "cannot be put on device 'nonsense'", device="nonsense")
    if not torch.cuda.is_available():
        refused(folder, "cannot be put on device 'cuda'", device="cuda")


def test_a_hub_id_is_looked_up(save_model: SaveModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = save_model(), []

    def snapshot(repo: str, revision: str | None) -> tuple[Path, str]:
        asked.append((repo, revision))
        return folder, "c0ffee"

    monkeypatch.setattr(_loading, "snapshot", snapshot)
    assert load_model("owner/name", revision="v1").n_layers == 3
    assert asked == [("owner/name", "v1")]


def test_weights_that_belong_to_no_part(save_model: SaveModel) -> None:
    folder = save_model()
    edit_config(folder, num_hidden_layers=2)
    refused(folder, r"9 weights belong to no part of LlamaForCausalLM .* model\.layers\.2\.")


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "base_model.model."])
def test_weights_saved_inside_a_wrapping(save_model: SaveModel, prefix: str) -> None:
    folder = save_model()
    path = folder / "model.safetensors"
    save_file({prefix + k: v for k, v in load_file(path).items()}, path, {"format": "pt"})
    refused(folder, rf"names of its weights begin with '{prefix}'.*save the model itself")


def test_an_adapter_beside_the_weights(save_model: SaveModel) -> None:
    folder = save_model()
    (folder / "adapter_config.json").write_text("{}")
    refused(folder, r"holds an adapter \(adapter_config\.json\) beside the model; merge it")


@pytest.mark.parametrize("change", [{"return_dict": False}, {"output_attentions": True}])
def test_what_a_model_returns_beside_logits_plays_no_part(
    save_model: SaveModel, change: dict[str, Any]
) -> None:
    folder = save_model()
    expected = load_model(folder).model(torch.tensor([[3, 4]])).logits
    edit_config(folder, **change)
    assert torch.equal(load_model(folder).model(torch.tensor([[3, 4]])).logits, expected)


@pytest.mark.parametrize("change", [{"hidden_size": 17}, {"hidden_act": "nonsense"}])
def test_a_config_that_contradicts_itself_is_one_line(
    save_model: SaveModel, change: dict[str, Any]
) -> None:
    folder = save_model()
    edit_config(folder, **change)
    with pytest.raises(DataError) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["lm_head", "q_proj", "down_proj"])
def test_models_in_a_wrapping_name_the_model_inside(save_model: SaveModel, place: str) -> None:
    model = load_model(save_model()).model
    lora = peft.LoraConfig(r=2, target_modules=[place], init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        compiled, adapted = torch.compile(model), peft.get_peft_model(model, lora)
    with pytest.raises(DataError, match=r"give model\._orig_mod"):
        wrap_model(compiled)
    with pytest.raises(DataError, match=r"give model\.merge_and_unload\(\)"):
        wrap_model(adapted)
    # The model inside has the adapter, too.
    with pytest.raises(DataError, match=rf"an adapter stands on .*{place}, .*merge_and_unload"):
        wrap_model(model)
    wrap_model(adapted.merge_and_unload())


def test_a_hook_on_the_head(save_model: SaveModel) -> None:
    model = load_model(save_model()).model
    handle = model.lm_head.register_forward_hook(lambda m, a, out: 2 * out)
    with pytest.raises(DataError, match=r"an adapter or a hook stands on it"):
        wrap_model(model)
    handle.remove()
    wrap_model(model)


def test_weights_of_inference_mode() -> None:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 8, "num_attention_heads": 2}
    with torch.inference_mode():
        model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, **sizes))
    with pytest.raises(DataError, match=r"inference_mode.*load it outside"):
        wrap_model(model)


NAMES = {
    "above": "../other.safetensors",
    "below": "sub/x.safetensors",
    "absolute": "/tmp/x.safetensors",
    "pickled": "model.bin",
    "no text": 5,
}


@pytest.mark.parametrize("where", NAMES)
def test_weights_outside_the_folder_are_refused(save_model: SaveModel, where: str) -> None:
    """Nobody would notice that they change: the manifest has digests of the folder's own files."""
    folder = save_model()
    name = NAMES[where]
    weights = folder / "model.safetensors"
    with safe_open(weights, "pt") as file:
        keys = list(file.keys())
    if isinstance(name, str) and where != "absolute":
        (folder / name).parent.mkdir(exist_ok=True)
        weights.rename(folder / name)
    weights.unlink(missing_ok=True)
    index = {"metadata": {}, "weight_map": dict.fromkeys(keys, name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, r"index\.json: names .*; expected weights \*\.safetensors in this folder")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_attn_implementation", "kernels-community/flash-attn"),
        ("attn_implementation", {"": "owner/kernel@main"}),
        ("_experts_implementation", "owner/experts"),
        ("text_config", {"attn_implementation": 5}),
        ("text_config", [{"attn_implementation": ["eager"]}]),
        ("transformers_weights", "other.safetensors"),
        ("kernel_config", {"a": "b"}),
    ],
)
def test_what_a_config_makes_transformers_load(save_model: SaveModel, key: str, value: Any) -> None:
    folder = save_model()
    edit_config(folder, **{key: value})
    refused(
        folder, r"config\.json: .* makes transformers load something that is not in this folder"
    )


def test_common_ways_to_compute_are_taken(save_model: SaveModel) -> None:
    folder = save_model()
    edit_config(folder, _attn_implementation="flash_attention_2", attn_implementation=None)
    assert load_model(folder).model.config._attn_implementation == "sdpa"

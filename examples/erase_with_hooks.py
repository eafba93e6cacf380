"""Silence the located neurons of a transformers model with ordinary forward hooks.

    python examples/erase_with_hooks.py MODEL_FOLDER MASK_FILE "a prompt"

Of caploc only the mask is read. A neuron is an input of the output projection of a block's FFN, so
a hook in front of that projection sets the located inputs to 0, at every position and step.
"""

import argparse

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from caploc import read_mask

# What `FAMILY` says in workflow/caploc/models/<family>.py: `blocks`, `ffn_out`. This is Llama's.
BLOCKS, FFN_OUT = "model.layers", "mlp.down_proj"


def erase(model, located, blocks=BLOCKS, ffn_out=FFN_OUT):
    """Silence neurons until the handles that are returned are removed.

    Args:
        model: as `AutoModelForCausalLM.from_pretrained` returns it.
        located: (layer, neuron) True where silenced, from `caploc.read_mask`.
        blocks: name of the list of decoder blocks.
        ffn_out: name, inside a block, of the FFN's output projection.
    """

    def hook_of(neurons):
        def hook(module, inputs):
            return inputs[0].masked_fill(neurons.to(inputs[0].device), 0.0), *inputs[1:]

        return hook

    return [
        block.get_submodule(ffn_out).register_forward_pre_hook(hook_of(torch.from_numpy(neurons)))
        for block, neurons in zip(model.get_submodule(blocks), located, strict=True)
        if neurons.any()
    ]


def main():
    """Complete a prompt with the model as it is, and without the located neurons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of the model, as save_pretrained writes it")
    parser.add_argument("mask", help="results/<run>/masks/<model>/<task>/<method>/<mask>.parquet")
    parser.add_argument("prompt")
    options = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(options.model)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    # The tokenizer may put an end of text behind the prompt; a completion does not follow one.
    ids = tokenizer(options.prompt, return_tensors="pt", add_special_tokens=True).input_ids
    if tokenizer.eos_token_id is not None and ids[0, -1] == tokenizer.eos_token_id:
        ids = ids[:, :-1]
    located = read_mask(options.mask)

    def complete():
        found = model.generate(ids, max_new_tokens=20, do_sample=False)
        return tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True)

    print(f"as it is:                {complete()!r}")
    handles = erase(model, located)
    print(f"without {located.sum():5d} neurons:  {complete()!r}")
    for handle in handles:
        handle.remove()


if __name__ == "__main__":
    main()

"""OPT with norms in front (all sizes but 350m): learned positions with an offset, ReLU."""

from caploc.models._family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="opt",
    architectures=("OPTForCausalLM",),
    blocks="model.decoder.layers",
    ffn_out="fc2",
    ffn_width="ffn_dim",
    ffn_in=("fc1",),
    final_norm="model.decoder.final_layer_norm",
)

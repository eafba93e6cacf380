"""Where models come from, and where they compute."""

from dataclasses import dataclass
from typing import Annotated, Literal

from caploc.catalogues.training import Architecture, Train
from caploc.settings import Count, Rule

__all__ = ["ModelEntry", "Shape"]


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of a model of the hub or of a folder.

    With it `caploc plan` needs no network; it is compared with the config.json of the model when
    that is fetched.

    Attributes:
        layers: decoder blocks
        hidden: width of the residual stream
        ffn: FFN neurons in a layer
        heads: attention heads
        kv_heads: key/value heads
        vocabulary: tokens the output head knows
        tied: embedding and output head are one matrix
    """

    layers: Count
    hidden: Count
    ffn: Count
    heads: Count
    kv_heads: Count
    vocabulary: Count
    tied: bool = False


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """Where a model comes from: exactly one of `train`, `repo`, `path` and `gguf`.

    A GGUF file may lie in a repository (`repo`) or in an installed package (`package`).

    Attributes:
        family: decoder family: a file in workflow/caploc/models/families
        repo: Hugging Face repository, e.g. meta-llama/Llama-2-7b-hf
        revision: commit, tag or branch of repo; the commit found is recorded
        path: local folder with config.json, tokenizer and safetensors
        gguf: GGUF file, dequantised once: its path, or its name in `repo` or `package`
        package: installed Python package that holds the GGUF file; it is never imported
        dtype: number format of weights and activations
        device: cpu or cuda; cuda asks Snakemake for one gpu
        memory_mib: MiB that scoring neurons may take beside the weights: decides how many
            answer tokens, path points and layers travel together; changes rounding only;
            default half of the free memory, 85 % on an accelerator
        shape: size of a model of the hub or of a folder: with it `caploc plan` needs no
            network; compared with the model's config.json when it is fetched
        architecture: size of a model trained by the workflow
        train: how the model is trained
    """

    family: str
    repo: str | None = None
    revision: str = "main"
    path: str | None = None
    gguf: str | None = None
    package: str | None = None
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    device: Annotated[str, Rule(pattern="^(cpu|cuda(:[0-9]+)?)$")] = "cpu"
    memory_mib: Count | None = None
    shape: Shape | None = None
    architecture: Architecture | None = None
    train: Train | None = None

"""What a configuration may hold beside experiments: the run, and what exists by id."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from caploc import locator_settings
from caploc.settings import ID, Count, Id, Natural, Positive, Rule, Seed

__all__ = [
    "Architecture",
    "Catalogues",
    "FactsEntry",
    "MaskEntry",
    "ModelEntry",
    "Pair",
    "RunSettings",
    "Samples",
    "Shape",
    "TaskEntry",
    "Tokens",
    "Train",
]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tasks that share words or a capability, to tell them apart.

    Attributes:
        name: how the report calls the pair
        a: task id
        b: task id
        shares: what the two tasks have in common
    """

    name: str
    a: str
    b: str
    shares: Literal["words", "capability"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What this run does. Lists replace those of the file they are laid over.

    Attributes:
        name: name of the run; everything goes to results/<name>
        models: model ids
        tasks: task ids
        methods: method ids
        masks: mask ids
        headline_mask: mask id of Table 1 and of the maps; one of run.masks
        title: heading of the report
        seed: seed of splits, shuffles and training
        neutral: task id of text without a capability, the reference for agreement; null for
            none
        shuffled: also score every task with its answers shuffled among its samples
        mixture: also take halves of a random mixture of all tasks
        experiments: what is done with the masks, beside their agreement
        splits: number of random splits into two halves
        shard_size: samples in one attribution job; 5 to 15 minutes of work is a good size
        reuse: names of other runs: a finished file of theirs is copied where settings, code and
            inputs are equal, so that it is not computed again
        converged_samples: samples of each task that are scored again by a converged path rule,
            to see what the rule changes in the mask; 0 for none
        minimum_samples: fewer usable samples than this: 'not computed'
        pairs: pairs of tasks that separate shared words from shared capability
    """

    name: Id
    models: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)]
    tasks: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)]
    methods: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)]
    masks: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)]
    headline_mask: str
    title: str = ""
    seed: Seed = 0
    neutral: Annotated[str | None, Rule(type=["string", "null"])] = None
    shuffled: bool = True
    mixture: bool = True
    experiments: Annotated[tuple[str, ...], Rule(uniqueItems=True)] = ()
    splits: Annotated[int, Rule(minimum=2, maximum=100)] = 5
    shard_size: Count = 500
    reuse: Annotated[tuple[Id, ...], Rule(uniqueItems=True)] = ()
    converged_samples: Natural = 40
    minimum_samples: Annotated[int, Rule(minimum=2)] = 20
    pairs: tuple[Pair, ...] = ()


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
class Architecture:
    """Size of a model trained by the workflow.

    Attributes:
        layers: decoder blocks
        hidden: width of the residual stream
        ffn: FFN neurons in a layer
        heads: attention heads
        kv_heads: key/value heads (grouped-query attention)
        context: longest sequence in tokens
    """

    layers: Count
    hidden: Count
    ffn: Count
    heads: Count
    kv_heads: Count
    context: Count


@dataclass(frozen=True, slots=True)
class Train:
    """How the model is trained.

    Attributes:
        steps: optimiser steps
        batch: sequences in a step
        learning_rate: peak learning rate
        warmup: steps of linear warm-up before the cosine
        mixture: generated tasks (plug-in names) and their shares of the training sequences
        seed: of the weights and the training text; default run.seed
    """

    steps: Count
    batch: Count
    learning_rate: Positive
    warmup: Natural
    mixture: Annotated[dict[str, Positive], Rule(minProperties=1)]
    seed: Seed | None = None


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


@dataclass(frozen=True, slots=True)
class Samples:
    """How many samples each split holds; the four never share a prompt.

    Attributes:
        locate: samples whose neuron scores are averaged
        train: samples for fine-tuning
        validation: samples for choosing settings
        test: samples read once, for the tables
    """

    locate: Count = 1000
    train: Count = 1000
    validation: Count = 200
    test: Count = 500


@dataclass(frozen=True, slots=True)
class Tokens:
    """Mean lengths for `caploc plan`, until the samples of the run are there.

    Attributes:
        prompt: tokens of a prompt
        answer: tokens of an answer
    """

    prompt: Positive
    answer: Positive


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A data set.

    Attributes:
        plugin: a file in workflow/caploc/tasks; `generic` needs files or repo, prompt and
            answer
        title: how the report calls it; default the plug-in's title
        capability: mathematics, code, language, knowledge, ...; default the plug-in's
        samples: how many samples each split holds; the four never share a prompt
        repo: Hugging Face data set instead of the plug-in's own
        revision: commit, tag or branch of the data set; default main
        files: local copies instead of the hub: a path, a list, or {split: path or list}
        format: format of files; default by their ending
        header: column names of a csv or tsv without a header line
        columns: {name the task expects: name in the file}
        labels: words for label numbers 0 1 2 ...
        tokens: mean lengths for `caploc plan`, until the samples of the run are there; default
            typical lengths of the plug-in
        prompt: prompt template with {column} places
        answer: answer template with {column} places
    """

    plugin: str
    title: str | None = None
    capability: str | None = None
    samples: Samples = field(default_factory=Samples)
    repo: str | None = None
    revision: str | None = None
    files: (
        Annotated[
            Any,
            Rule(
                anyOf=[
                    {"type": "string"},
                    {"type": "array", "minItems": 1, "items": {"type": "string"}},
                    {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": {
                            "anyOf": [
                                {"type": "string"},
                                {"type": "array", "minItems": 1, "items": {"type": "string"}},
                            ]
                        },
                    },
                ]
            ),
        ]
        | None
    ) = None
    format: Literal["jsonl", "json", "csv", "tsv", "parquet", "text"] | None = None
    header: tuple[str, ...] | None = None
    columns: dict[str, str] | None = None
    labels: tuple[str, ...] | None = None
    tokens: Tokens | None = None
    prompt: Annotated[str, Rule(minLength=1)] | None = None
    answer: Annotated[str, Rule(minLength=1)] | None = None


@dataclass(frozen=True, slots=True)
class MaskEntry:
    """A rule that turns mean scores into a set of located neurons.

    Attributes:
        sigma: located where abs(score - mean) > sigma * dispersion
        dispersion: std; var as printed in the paper passes nearly every neuron
        per_layer: mean and dispersion of each layer instead of all together
        sign: which side of the mean counts
    """

    sigma: Positive
    dispersion: Literal["std", "var"] = "std"
    per_layer: bool = False
    sign: Literal["both", "positive", "negative"] = "both"


@dataclass(frozen=True, slots=True)
class FactsEntry:
    """A set of single facts.

    Attributes:
        plugin: a file in workflow/caploc/facts
        title: how the report calls it; default the plug-in's title
        n: facts drawn at random from the usable ones
        repo: Hugging Face data set instead of the plug-in's own
        revision: commit, tag or branch of the data set; default main
        files: local copy instead of the hub: a file; for pararel and lre the folder as
            published
        format: format of files; default by their ending
        columns: {name the data set is known by: name in the file}
    """

    plugin: str
    title: str | None = None
    n: Count = 1000
    repo: str | None = None
    revision: str | None = None
    files: str | None = None
    format: Literal["jsonl", "json", "csv", "tsv", "parquet"] | None = None
    columns: dict[str, str] | None = None


_ById = Rule(propertyNames={"pattern": ID})
_Method = Annotated[
    Any,
    Rule(
        **locator_settings.fitting(
            locator_settings.of_tasks(),
            scores=False,
            text="a file in workflow/caploc/locators; its settings stand beside it",
        )
    ),
]


@dataclass(frozen=True, slots=True)
class Catalogues:
    """Catalogues say what exists; the lists under `run` say what is done.

    Unknown keys are refused everywhere. Times are never settings; sizes are counted in samples,
    tokens or neurons as each description says. Ids are lower-case letters, digits and hyphens; they
    become parts of file names.

    Attributes:
        run: what this run does; lists replace those of the file they are laid over
        models: models by id
        tasks: data sets by id
        methods: ways to score neurons, by id: a locator with its settings
        masks: rules that turn mean scores into a set of located neurons, by id
        facts: sets of single facts by id, for the experiment `fidelity`
    """

    run: RunSettings
    models: Annotated[dict[str, ModelEntry], _ById]
    tasks: Annotated[
        dict[str, TaskEntry], Rule(propertyNames={"pattern": ID, "not": {"const": "mixture"}})
    ]
    methods: Annotated[dict[str, _Method], _ById]
    masks: Annotated[dict[str, MaskEntry], _ById]
    facts: Annotated[dict[str, FactsEntry], _ById] = field(default_factory=dict)

# caploc: data -> neuron scores -> masks -> tables -> report. `snakemake --cores all` runs it all;
# settings live in config.yaml, their meaning in workflow/schemas/config.schema.yaml.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "workflow/rules/common.smk"


wildcard_constraints:
    model="[a-z0-9][a-z0-9-]*",
    # a reference has its own rules: `mixture` is no task, `<task>.shuffled` is made from one
    task=r"(?!mixture/)[a-z0-9][a-z0-9-]*(\.shuffled)?",
    method="[a-z0-9][a-z0-9-]*",
    mask="[a-z0-9][a-z0-9-]*",
    shard=r"\d{4}",
    facts="[a-z0-9][a-z0-9-]*",
    locator="[a-z0-9_]+",
    pairs="[a-z0-9_]+",
    plant="[a-z0-9][a-z0-9-]*",
    seed=r"\d+",


include: "workflow/rules/models.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/attribution.smk"
include: "workflow/rules/masks.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/erasure.smk"
include: "workflow/rules/crossing.smk"
include: "workflow/rules/enhancement.smk"
include: "workflow/rules/facts.smk"
include: "workflow/rules/reliability.smk"
include: "workflow/rules/decoupling.smk"
include: "workflow/rules/known_answer.smk"


onstart:
    from caploc.store import write_text  # here, because it imports pyarrow

    # What this call ran with, after merging and defaults; provenance is in the files themselves.
    text, path = PLAN.shown() + "\n", PLAN.root / "config.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(text, path)


localrules:
    all,
    models,
    samples,
    attributions,
    masks,
    tables,
    known_answer,
    known_answer_full,
    known_answer_tried,


rule all:
    default_target: True
    input:
        f"{R}/report.html",


rule models:
    input:
        expand(f"{R}/models/{{model}}/manifest.json", model=PLAN.run["models"]),


rule samples:
    input:
        expand(f"{R}/samples/{{task}}/{{split}}.parquet", task=PLAN.tasks, split=SPLITS),


rule attributions:
    input:
        PLAN.all_shards(),


rule masks:
    input:
        PLAN.all_masks(),


rule tables:
    input:
        expand(f"{R}/tables/{{table}}.csv", table=PLAN.tables),


rule known_answer:
    input:
        f"{R}/known_answer.html",


rule known_answer_full:
    input:
        f"{R}/known_answer_full.html",


rule known_answer_tried:
    input:
        f"{R}/known_answer_tried.html",

# caploc: data -> neuron scores -> masks -> tables -> report. `snakemake --cores all` runs it all;
# settings live in config.yaml, their meaning in workflow/schemas/config.schema.yaml.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

from caploc.config import check, read_schema
from caploc.plan import SPLITS, Plan
from caploc.provenance import canonical_json
from caploc.records import DataError

min_version("9.27")


configfile: "config.yaml"


try:
    PLAN = Plan(check(config, read_schema(Path(workflow.basedir) / "workflow/schemas/config.schema.yaml")))
except DataError as error:
    sys.exit(f"caploc: {error}")

R = PLAN.root.as_posix()
# Jobs call `caploc` from the environment that runs Snakemake, activated or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def spec(stage):
    """The settings a job of this stage is told, by its wildcards."""
    return lambda wildcards: PLAN.spec(stage, **dict(wildcards.items()))


def code(stage):
    """Digest of the code a job of this stage executes, by its wildcards."""
    return lambda wildcards: PLAN.code(stage, **dict(wildcards.items()))


wildcard_constraints:
    model="[a-z0-9][a-z0-9-]*",
    # a reference has its own rules: `mixture` is no task, `<task>.shuffled` is made from one
    task=r"(?!mixture/)[a-z0-9][a-z0-9-]*(\.shuffled)?",
    method="[a-z0-9][a-z0-9-]*",
    mask="[a-z0-9][a-z0-9-]*",
    shard=r"\d{4}",


include: "workflow/rules/models.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/attribution.smk"
include: "workflow/rules/masks.smk"
include: "workflow/rules/tables.smk"


onstart:
    from caploc.store import write_text

    # What this call ran with, after merging and defaults; provenance is in the files themselves.
    write_text(canonical_json(PLAN.config) + "\n", PLAN.root / "config.json")


localrules:
    all,
    models,
    samples,
    attributions,
    masks,
    tables,


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
        expand(f"{R}/tables/{{table}}.csv", table=TABLES),

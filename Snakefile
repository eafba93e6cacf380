# caploc: data -> neuron scores -> masks -> tables -> report. `snakemake --cores all` runs it all;
# settings live in config.yaml, their meaning in workflow/schemas/config.schema.yaml.
import sys
from pathlib import Path

from snakemake.utils import min_version
from caploc.shipped import folder

min_version("9.27")
RULES = folder() / "workflow/rules"  # of this repository, or in the installed package

# Before it is loaded; one that the command line names has been, see docs/operations.md.
from caploc.configfiles import refuse_programs
from caploc.records import DataError

if {"{", "}"} & {*workflow.basedir, *str(RULES)}:
    sys.exit(
        f"caploc: {workflow.basedir}: Snakemake takes braces in the folder of a workflow for "
        "wildcards; move it to another folder (the one where it runs may have any name)"
    )
try:
    refuse_programs([Path("config.yaml"), *workflow.overwrite_configfiles])
except DataError as error:
    sys.exit(f"caploc: {error}")


configfile: "config.yaml"


include: RULES / "common.smk"


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


# One file from data to masks, one for every experiment: a new one is found by its place.
for smk in sorted(RULES.glob("*.smk")):
    if smk.name != "common.smk":

        include: smk


onstart:
    from caploc.files.store import write_text  # here, because it imports pyarrow

    # What this call ran with, after merging and defaults; provenance is in the files themselves.
    text, path = RUN.shown() + "\n", RUN.root / "config.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(text, path)


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
        expand(f"{R}/models/{{model}}/manifest.json", model=RUN.settings["models"]),


rule samples:
    input:
        expand(f"{R}/samples/{{task}}/{{split}}.parquet", task=RUN.tasks, split=SPLITS),


rule attributions:
    input:
        RUN.all_shards(),


rule masks:
    input:
        RUN.all_masks(),


rule tables:
    input:
        expand(f"{R}/tables/{{table}}.csv", table=RUN.tables),

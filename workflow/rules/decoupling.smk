# Paired samples: is it the main part or the task that decides which neurons a prompt locates?
from caploc.experiments.decoupling import jobs as decoupling


rule prepare_pairs:
    output:
        samples=f"{R}/pairs/{{pairs}}/samples.parquet",
        card=f"{R}/pairs/{{pairs}}/card.md",
    log:
        f"{LOGS}/prepare_pairs/{{pairs}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("prepare_pairs"),
    shell:
        command("prepare_pairs")


rule locate_pairs:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=f"{R}/pairs/{{pairs}}/samples.parquet",
    output:
        located=f"{R}/pairs/{{pairs}}/{{model}}/shard-{{shard}}.parquet",
    log:
        f"{LOGS}/locate_pairs/{{model}}/{{pairs}}/{{shard}}.log",
    benchmark:
        f"{R}/timings/locate_pairs/{{model}}/{{pairs}}/{{shard}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("locate_pairs"),
    shell:
        command("locate_pairs")


rule measure_decoupling:
    input:
        located=lambda wildcards: decoupling.pair_shards(
            RUN, wildcards.model, wildcards.pairs
        ),
    output:
        part=f"{R}/decoupling/{{model}}/{{pairs}}.parquet",
    log:
        f"{LOGS}/measure_decoupling/{{model}}/{{pairs}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        **told("measure_decoupling"),
    shell:
        command("measure_decoupling")


rule tabulate_decoupling:
    input:
        parts=(
            decoupling.decoupling_parts(RUN)
            if "decoupling" in RUN.settings["experiments"]
            else []
        ),
    output:
        csv=report(f"{R}/tables/decoupling.csv", category="Tables"),
        parquet=f"{R}/tables/decoupling.parquet",
    log:
        f"{LOGS}/tabulate_decoupling.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("join_parts", table="decoupling"),
    shell:
        command("join_parts")

# Locators of single facts by their own validations: located against the best of random.
from caploc.experiments.reliability import jobs as reliability
from caploc.stages.jobs import located_shards


rule sum_keys:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=reliability.texts(RUN),
    output:
        moments=f"{R}/moments/{{model}}/moments.json",
    log:
        f"{LOGS}/sum_keys/{{model}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(6000),
        runtime=grows(240),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("sum_keys"),
    shell:
        command("sum_keys")


rule validate_kn:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
        located=lambda wildcards: located_shards(
            RUN, wildcards.model, wildcards.facts, "kn"
        ),
    output:
        outcomes=f"{R}/reliability/{{model}}/{{facts}}/kn.parquet",
    log:
        f"{LOGS}/validate_kn/{{model}}/{{facts}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("validate_kn"),
    shell:
        command("validate_kn")


rule validate_circuit:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
        located=lambda wildcards: located_shards(
            RUN, wildcards.model, wildcards.facts, "circuit"
        ),
    output:
        outcomes=f"{R}/reliability/{{model}}/{{facts}}/circuit.parquet",
    log:
        f"{LOGS}/validate_circuit/{{model}}/{{facts}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(120),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("validate_circuit"),
    shell:
        command("validate_circuit")


rule edit_facts:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        facts=f"{R}/facts/{{facts}}/facts.parquet",
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
        located=lambda wildcards: located_shards(
            RUN, wildcards.model, wildcards.facts, "rome"
        ),
        moments=f"{R}/moments/{{model}}/moments.json",
    output:
        outcomes=f"{R}/reliability/{{model}}/{{facts}}/edits.parquet",
    log:
        f"{LOGS}/edit_facts/{{model}}/{{facts}}.log",
    benchmark:
        f"{R}/timings/edit_facts/{{model}}/{{facts}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(6000),
        runtime=grows(240),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("edit_facts"),
    shell:
        command("edit_facts")


rule measure_reliability:
    input:
        kn=f"{R}/reliability/{{model}}/{{facts}}/kn.parquet",
        circuit=f"{R}/reliability/{{model}}/{{facts}}/circuit.parquet",
        edits=f"{R}/reliability/{{model}}/{{facts}}/edits.parquet",
    output:
        part=f"{R}/reliability/{{model}}/{{facts}}/part.parquet",
    log:
        f"{LOGS}/measure_reliability/{{model}}/{{facts}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        **told("measure_reliability"),
    shell:
        command("measure_reliability")


rule ablate_units:
    input:
        unpack(
            lambda wildcards: reliability.ablation_inputs(
                RUN, wildcards.model, wildcards.facts, wildcards.shard
            )
        ),
        manifest=f"{R}/models/{{model}}/manifest.json",
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
    output:
        outcomes=f"{R}/reliability/{{model}}/{{facts}}/ablated/shard-{{shard}}.parquet",
    log:
        f"{LOGS}/ablate_units/{{model}}/{{facts}}/{{shard}}.log",
    benchmark:
        f"{R}/timings/ablate_units/{{model}}/{{facts}}/{{shard}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(240),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("ablate_units"),
    shell:
        command("ablate_units")


rule measure_ablation:
    input:
        outcomes=lambda wildcards: reliability.ablated_shards(
            RUN, wildcards.model, wildcards.facts
        ),
    output:
        part=f"{R}/reliability/{{model}}/{{facts}}/shared.parquet",
    log:
        f"{LOGS}/measure_ablation/{{model}}/{{facts}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(30),
    params:
        **told("measure_ablation"),
    shell:
        command("measure_ablation")


rule tabulate_reliability:
    input:
        parts=(
            reliability.reliability_parts(RUN)
            if "reliability" in RUN.settings["experiments"]
            else []
        ),
    output:
        csv=report(f"{R}/tables/reliability.csv", category="Tables"),
        parquet=f"{R}/tables/reliability.parquet",
    log:
        f"{LOGS}/tabulate_reliability.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("join_parts", table="reliability"),
    shell:
        command("join_parts")

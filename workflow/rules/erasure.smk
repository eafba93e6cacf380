# Silence located neurons and random ones: what is left of every task.
from caploc.experiments.erasure.jobs import crossed_parts, erasure_parts


rule weigh_neurons:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=expand(
            f"{R}/samples/{{task}}/locate.parquet", task=RUN.settings["tasks"]
        ),
        neutral=expand(
            f"{R}/samples/{{task}}/locate.parquet",
            task=[t for t in [RUN.settings["neutral"]] if t is not None],
        ),
    output:
        weights=f"{R}/weights/{{model}}.parquet",
    log:
        f"{LOGS}/weigh_neurons/{{model}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("weigh_neurons"),
    shell:
        command("weigh_neurons")


rule erase_neurons:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        weights=f"{R}/weights/{{model}}.parquet",
        scores=f"{R}/scores/{{model}}/{{task}}/{{method}}.parquet",
        masks=expand(
            f"{R}/masks/{{model}}/{{task}}/{{method}}/{{mask}}.parquet",
            mask=RUN.settings["masks"],
            allow_missing=True,
        ),
        test=f"{R}/samples/{{task}}/test.parquet",
        train=f"{R}/samples/{{task}}/train.parquet",
        neutral=expand(
            f"{R}/samples/{{task}}/test.parquet",
            task=[t for t in [RUN.settings["neutral"]] if t is not None],
        ),
    output:
        likelihood=f"{R}/erasure/{{model}}/{{task}}/{{method}}/likelihood.parquet",
        answers=f"{R}/erasure/{{model}}/{{task}}/{{method}}/answers.parquet",
        sets=f"{R}/erasure/{{model}}/{{task}}/{{method}}/sets.parquet",
    log:
        f"{LOGS}/erase_neurons/{{model}}/{{task}}/{{method}}.log",
    benchmark:
        f"{R}/timings/erase_neurons/{{model}}/{{task}}/{{method}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(120),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("erase_neurons"),
    shell:
        command("erase_neurons")


rule tabulate_erasure:
    input:
        likelihood=erasure_parts(RUN, "likelihood"),
        answers=erasure_parts(RUN, "answers"),
        sets=erasure_parts(RUN, "sets"),
    output:
        csv=report(f"{R}/tables/erasure.csv", category="Tables"),
        parquet=f"{R}/tables/erasure.parquet",
    log:
        f"{LOGS}/tabulate_erasure.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(20),
    params:
        **told("tabulate_erasure"),
    shell:
        command("tabulate_erasure")


rule tabulate_examples:
    input:
        answers=erasure_parts(RUN, "answers"),
        test=[
            f"{R}/samples/{Path(path).parts[-3]}/test.parquet"
            for path in erasure_parts(RUN, "answers")
        ],
    output:
        csv=report(f"{R}/tables/examples.csv", category="Tables"),
        parquet=f"{R}/tables/examples.parquet",
    log:
        f"{LOGS}/tabulate_examples.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("tabulate_examples"),
    shell:
        command("tabulate_examples")


rule cross_erase:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        weights=f"{R}/weights/{{model}}.parquet",
        masks=lambda wildcards: RUN.masks(
            wildcards.model, wildcards.method, RUN.settings["headline_mask"]
        ),
        test=f"{R}/samples/{{task}}/test.parquet",
        train=f"{R}/samples/{{task}}/train.parquet",
    output:
        likelihood=f"{R}/crossing/{{model}}/{{task}}/{{method}}.parquet",
    log:
        f"{LOGS}/cross_erase/{{model}}/{{task}}/{{method}}.log",
    benchmark:
        f"{R}/timings/cross_erase/{{model}}/{{task}}/{{method}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(120),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("cross_erase"),
    shell:
        command("cross_erase")


rule tabulate_cross_erasure:
    input:
        likelihood=crossed_parts(RUN),
    output:
        csv=report(f"{R}/tables/cross_erasure.csv", category="Tables"),
        parquet=f"{R}/tables/cross_erasure.parquet",
    log:
        f"{LOGS}/tabulate_cross_erasure.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(20),
    params:
        **told("tabulate_cross_erasure"),
    shell:
        command("tabulate_cross_erasure")


rule tabulate_cross_overlap:
    input:
        masks=[
            path
            for model in RUN.settings["models"]
            for method in RUN.settings["methods"]
            for path in RUN.masks(model, method, RUN.settings["headline_mask"])
        ],
    output:
        csv=report(f"{R}/tables/cross_overlap.csv", category="Tables"),
        parquet=f"{R}/tables/cross_overlap.parquet",
    log:
        f"{LOGS}/tabulate_cross_overlap.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(20),
    params:
        **told("tabulate_cross_overlap"),
    shell:
        command("tabulate_cross_overlap")

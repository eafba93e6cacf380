# Enhancement: located neurons are trained, and others beside them (Table 2, enhancement half of Fig. 4).
from caploc.experiments.enhancement.jobs import (
    all_enhanced,
    enhancement_inputs,
    masks as enhanced_masks,
)


rule enhance_task:
    input:
        unpack(
            lambda wildcards: enhancement_inputs(
                RUN, wildcards.model, wildcards.task, wildcards.method
            )
        ),
        manifest=f"{R}/models/{{model}}/manifest.json",
        train=f"{R}/samples/{{task}}/train.parquet",
        validation=f"{R}/samples/{{task}}/validation.parquet",
    output:
        **{
            f"delta-{mask}": f"{R}/deltas/{{model}}/{{task}}/{{method}}/{mask}.safetensors"
            for mask in enhanced_masks(RUN)
        },
        answers=f"{R}/enhancement/{{model}}/{{task}}/{{method}}.parquet",
    log:
        f"{LOGS}/enhance_task/{{model}}/{{task}}/{{method}}.log",
    benchmark:
        f"{R}/timings/enhance_task/{{model}}/{{task}}/{{method}}.jsonl"
    wildcard_constraints:
        task="[a-z0-9][a-z0-9-]*",
    # The longest jobs first: begun last, the last of them would run alone.
    priority: 10
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(600),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("enhance_task"),
    shell:
        command("enhance_task")


rule tabulate_enhancement:
    input:
        answers=all_enhanced(RUN),
    output:
        csv=report(f"{R}/tables/enhancement.csv", category="Tables"),
        parquet=f"{R}/tables/enhancement.parquet",
    log:
        f"{LOGS}/tabulate_enhancement.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("tabulate_enhancement"),
    shell:
        command("tabulate_enhancement")


rule tabulate_cross_enhancement:
    input:
        answers=all_enhanced(RUN),
    output:
        csv=report(f"{R}/tables/cross_enhancement.csv", category="Tables"),
        parquet=f"{R}/tables/cross_enhancement.parquet",
    log:
        f"{LOGS}/tabulate_cross_enhancement.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("tabulate_cross_enhancement"),
    shell:
        command("tabulate_cross_enhancement")

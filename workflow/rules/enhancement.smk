# Enhancement: located neurons are trained, and others beside them (Table 2, enhancement half of Fig. 4).
from caploc.plan.enhancement import (
    all_enhanced,
    enhancement_inputs,
    masks as enhanced_masks,
)


rule enhance_task:
    input:
        unpack(
            lambda wildcards: enhancement_inputs(
                PLAN, wildcards.model, wildcards.task, wildcards.method
            )
        ),
        manifest=f"{R}/models/{{model}}/manifest.json",
        train=f"{R}/samples/{{task}}/train.parquet",
        validation=f"{R}/samples/{{task}}/validation.parquet",
    output:
        answers=f"{R}/enhancement/{{model}}/{{task}}/{{method}}.parquet",
        deltas=expand(
            f"{R}/deltas/{{{{model}}}}/{{{{task}}}}/{{{{method}}}}/{{mask}}.safetensors",
            mask=enhanced_masks(PLAN),
        ),
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
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("enhance_task"),
        code=code("enhance_task"),
        deltas=lambda wildcards, output: [
            word
            for mask, path in zip(enhanced_masks(PLAN), output.deltas)
            for word in ("--output", f"delta-{mask}={path}")
        ],
    shell:
        "caploc enhance_task --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input masks={input.masks:q} --input tests={input.tests:q}"
        " --input crossing={input.crossing:q} --input train={input.train:q} --input validation={input.validation:q}"
        " --output answers={output.answers:q} {params.deltas:q}"


rule tabulate_enhancement:
    input:
        answers=all_enhanced(PLAN),
    output:
        csv=f"{R}/tables/enhancement.csv",
        parquet=f"{R}/tables/enhancement.parquet",
    log:
        f"{LOGS}/tabulate_enhancement.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_enhancement"),
        code=code("tabulate_enhancement"),
    shell:
        "caploc tabulate_enhancement --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input answers={input.answers:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"


rule tabulate_cross_enhancement:
    input:
        answers=all_enhanced(PLAN),
    output:
        csv=f"{R}/tables/cross_enhancement.csv",
        parquet=f"{R}/tables/cross_enhancement.parquet",
    log:
        f"{LOGS}/tabulate_cross_enhancement.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_cross_enhancement"),
        code=code("tabulate_cross_enhancement"),
    shell:
        "caploc tabulate_cross_enhancement --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input answers={input.answers:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"

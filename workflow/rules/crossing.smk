# Neurons of one data set, and the other data sets: do they share them, do they suffer without them.
from caploc.plan.erasure import crossed_parts


rule cross_erase:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        weights=f"{R}/weights/{{model}}.parquet",
        masks=lambda wildcards: PLAN.masks(
            wildcards.model, wildcards.method, PLAN.run["headline_mask"]
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
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("cross_erase"),
        code=code("cross_erase"),
    shell:
        "caploc cross_erase --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input weights={input.weights:q}"
        " --input masks={input.masks:q} --input test={input.test:q} --input train={input.train:q}"
        " --output likelihood={output.likelihood:q}"


rule tabulate_cross_erasure:
    input:
        likelihood=crossed_parts(PLAN),
    output:
        csv=f"{R}/tables/cross_erasure.csv",
        parquet=f"{R}/tables/cross_erasure.parquet",
    log:
        f"{LOGS}/tabulate_cross_erasure.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(20),
    params:
        spec=spec("tabulate_cross_erasure"),
        code=code("tabulate_cross_erasure"),
    shell:
        "caploc tabulate_cross_erasure --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input likelihood={input.likelihood:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"


rule tabulate_cross_overlap:
    input:
        masks=[
            path
            for model in PLAN.run["models"]
            for method in PLAN.run["methods"]
            for path in PLAN.masks(model, method, PLAN.run["headline_mask"])
        ],
    output:
        csv=f"{R}/tables/cross_overlap.csv",
        parquet=f"{R}/tables/cross_overlap.parquet",
    log:
        f"{LOGS}/tabulate_cross_overlap.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(20),
    params:
        spec=spec("tabulate_cross_overlap"),
        code=code("tabulate_cross_overlap"),
    shell:
        "caploc tabulate_cross_overlap --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input masks={input.masks:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"

# Silence located neurons and random ones: what is left of every task.
from caploc.plan.erasure import erasure_parts


rule weigh_neurons:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=expand(f"{R}/samples/{{task}}/locate.parquet", task=PLAN.run["tasks"]),
        neutral=expand(
            f"{R}/samples/{{task}}/locate.parquet",
            task=[t for t in [PLAN.run["neutral"]] if t is not None],
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
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("weigh_neurons"),
        code=code("weigh_neurons"),
    shell:
        "caploc weigh_neurons --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input samples={input.samples:q}"
        " --input neutral={input.neutral:q} --output weights={output.weights:q}"


rule erase_neurons:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        weights=f"{R}/weights/{{model}}.parquet",
        scores=f"{R}/scores/{{model}}/{{task}}/{{method}}.parquet",
        masks=expand(
            f"{R}/masks/{{model}}/{{task}}/{{method}}/{{mask}}.parquet",
            mask=PLAN.run["masks"],
            allow_missing=True,
        ),
        test=f"{R}/samples/{{task}}/test.parquet",
        train=f"{R}/samples/{{task}}/train.parquet",
        neutral=expand(
            f"{R}/samples/{{task}}/test.parquet",
            task=[t for t in [PLAN.run["neutral"]] if t is not None],
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
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("erase_neurons"),
        code=code("erase_neurons"),
    shell:
        "caploc erase_neurons --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input weights={input.weights:q}"
        " --input scores={input.scores:q} --input masks={input.masks:q} --input test={input.test:q}"
        " --input train={input.train:q} --input neutral={input.neutral:q}"
        " --output likelihood={output.likelihood:q} --output answers={output.answers:q}"
        " --output sets={output.sets:q}"


rule tabulate_erasure:
    input:
        likelihood=erasure_parts(PLAN, "likelihood"),
        answers=erasure_parts(PLAN, "answers"),
        sets=erasure_parts(PLAN, "sets"),
    output:
        csv=f"{R}/tables/erasure.csv",
        parquet=f"{R}/tables/erasure.parquet",
    log:
        f"{LOGS}/tabulate_erasure.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(20),
    params:
        spec=spec("tabulate_erasure"),
        code=code("tabulate_erasure"),
    shell:
        "caploc tabulate_erasure --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input likelihood={input.likelihood:q} --input answers={input.answers:q}"
        " --input sets={input.sets:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"

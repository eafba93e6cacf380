# Where models come from: trained here, or fetched. The declared output is the manifest, written
# last with the digests of all files, so that a half-saved model is never taken for a model.


rule train_model:
    output:
        manifest=f"{R}/models/{{model}}/manifest.json",
        loss=f"{R}/models/{{model}}/loss.parquet",
        prompts=f"{R}/models/{{model}}/training_prompts.parquet",
    log:
        f"{LOGS}/train_model/{{model}}.log",
    benchmark:
        f"{R}/timings/train_model/{{model}}.jsonl"
    wildcard_constraints:
        model=any_of(PLAN.trained_models),
    # All models first: begun later, one would wait until no job of one thread runs.
    priority: 20
    conda:
        "../../envs/caploc.yaml"
    threads: 2
    resources:
        mem_mb=grows(4000),
        runtime=grows(30),
    params:
        spec=spec("train_model"),
        code=code("train_model"),
    shell:
        "caploc train_model --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --output manifest={output.manifest:q} --output loss={output.loss:q}"
        " --output prompts={output.prompts:q}"


rule fetch_model:
    output:
        manifest=f"{R}/models/{{model}}/manifest.json",
    log:
        f"{LOGS}/fetch_model/{{model}}.log",
    wildcard_constraints:
        model=any_of([m for m in PLAN.run["models"] if m not in PLAN.trained_models]),
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(240),
    params:
        spec=spec("fetch_model"),
        code=code("fetch_model"),
    shell:
        "caploc fetch_model --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --output manifest={output.manifest:q}"


rule evaluate_base:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=f"{R}/samples/{{task}}/test.parquet",
    output:
        answers=f"{R}/base/{{model}}/{{task}}.parquet",
    log:
        f"{LOGS}/evaluate_base/{{model}}/{{task}}.log",
    benchmark:
        f"{R}/timings/evaluate_base/{{model}}/{{task}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("evaluate_base"),
        code=code("evaluate_base"),
    shell:
        "caploc evaluate_base --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input samples={input.samples:q}"
        " --output answers={output.answers:q}"

# Per-sample neuron scores, shard by shard, and their means.


rule attribute_shard:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=f"{R}/samples/{{task}}/locate.parquet",
    output:
        scores=f"{R}/attributions/{{model}}/{{task}}/{{method}}/shard-{{shard}}.parquet",
    log:
        f"{LOGS}/attribute_shard/{{model}}/{{task}}/{{method}}/{{shard}}.log",
    benchmark:
        f"{R}/timings/attribute_shard/{{model}}/{{task}}/{{method}}/{{shard}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("attribute_shard"),
        code=code("attribute_shard"),
    shell:
        "caploc attribute_shard --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input samples={input.samples:q}"
        " --output scores={output.scores:q}"


rule score_converged:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=expand(f"{R}/samples/{{task}}/locate.parquet", task=PLAN.tasks),
        shards=lambda wildcards: [
            PLAN.shards(wildcards.model, task, wildcards.method)[0]
            for task in PLAN.tasks
        ],
    output:
        scores=f"{R}/converged/{{model}}/{{method}}.parquet",
    log:
        f"{LOGS}/score_converged/{{model}}/{{method}}.log",
    benchmark:
        f"{R}/timings/score_converged/{{model}}/{{method}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("score_converged"),
        code=code("score_converged"),
    shell:
        "caploc score_converged --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input samples={input.samples:q}"
        " --input shards={input.shards:q} --output scores={output.scores:q}"


rule aggregate_scores:
    input:
        shards=lambda wildcards: PLAN.shards(
            wildcards.model, wildcards.task, wildcards.method
        ),
    output:
        scores=f"{R}/scores/{{model}}/{{task}}/{{method}}.parquet",
    log:
        f"{LOGS}/aggregate_scores/{{model}}/{{task}}/{{method}}.log",
    conda:
        "../../envs/caploc.yaml"
    # One thread: a job of two waits on two cores for as long as a longer one of one thread runs there.
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        spec=spec("aggregate_scores"),
        code=code("aggregate_scores"),
    shell:
        "caploc aggregate_scores --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input shards={input.shards:q} --output scores={output.scores:q}"


rule aggregate_mixture:
    input:
        shards=lambda wildcards: [
            shard
            for task in PLAN.run["tasks"]
            for shard in PLAN.shards(wildcards.model, task, wildcards.method)
        ],
    output:
        scores=f"{R}/scores/{{model}}/mixture/{{method}}.parquet",
    log:
        f"{LOGS}/aggregate_mixture/{{model}}/{{method}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        spec=spec("aggregate_mixture"),
        code=code("aggregate_mixture"),
    shell:
        "caploc aggregate_mixture --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input shards={input.shards:q} --output scores={output.scores:q}"

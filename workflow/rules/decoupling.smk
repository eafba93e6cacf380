# Paired samples: is it the main part or the task that decides which neurons a prompt locates?
from caploc.plan import decoupling as decoupling_plan


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
        spec=spec("prepare_pairs"),
        code=code("prepare_pairs"),
    shell:
        "caploc prepare_pairs --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --output samples={output.samples:q} --output card={output.card:q}"


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
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("locate_pairs"),
        code=code("locate_pairs"),
    shell:
        "caploc locate_pairs --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input samples={input.samples:q}"
        " --output located={output.located:q}"


rule measure_decoupling:
    input:
        located=lambda wildcards: decoupling_plan.pair_shards(
            PLAN, wildcards.model, wildcards.pairs
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
        spec=spec("measure_decoupling"),
        code=code("measure_decoupling"),
    shell:
        "caploc measure_decoupling --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input located={input.located:q} --output part={output.part:q}"


rule tabulate_decoupling:
    input:
        parts=(
            decoupling_plan.decoupling_parts(PLAN)
            if "decoupling" in PLAN.run["experiments"]
            else []
        ),
    output:
        csv=f"{R}/tables/decoupling.csv",
        parquet=f"{R}/tables/decoupling.parquet",
    log:
        f"{LOGS}/tabulate_decoupling.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_decoupling"),
        code=code("tabulate_decoupling"),
    shell:
        "caploc tabulate_decoupling --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input parts={input.parts:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"

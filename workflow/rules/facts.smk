# Single facts: which are known, what each locator finds for them, and whether rewrites agree.
from caploc.plan import facts as facts_plan


rule prepare_facts:
    output:
        facts=f"{R}/facts/{{facts}}/facts.parquet",
    log:
        f"{LOGS}/prepare_facts/{{facts}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(60),
    params:
        spec=spec("prepare_facts"),
        code=code("prepare_facts"),
    shell:
        "caploc prepare_facts --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --output facts={output.facts:q}"


rule recall_facts:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        facts=f"{R}/facts/{{facts}}/facts.parquet",
    output:
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
    log:
        f"{LOGS}/recall_facts/{{model}}/{{facts}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("recall_facts"),
        code=code("recall_facts"),
    shell:
        "caploc recall_facts --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input facts={input.facts:q}"
        " --output prompts={output.prompts:q}"


rule locate_facts:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
    output:
        located=f"{R}/located/{{model}}/{{facts}}/{{locator}}/shard-{{shard}}.parquet",
    log:
        f"{LOGS}/locate_facts/{{model}}/{{facts}}/{{locator}}/{{shard}}.log",
    benchmark:
        f"{R}/timings/locate_facts/{{model}}/{{facts}}/{{locator}}/{{shard}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("locate_facts"),
        code=code("locate_facts"),
    shell:
        "caploc locate_facts --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input prompts={input.prompts:q}"
        " --output located={output.located:q}"


rule measure_fidelity:
    input:
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
        located=lambda wildcards: facts_plan.located_shards(
            PLAN, wildcards.model, wildcards.facts, wildcards.locator
        ),
    output:
        part=f"{R}/fidelity/{{model}}/{{facts}}/{{locator}}.parquet",
    log:
        f"{LOGS}/measure_fidelity/{{model}}/{{facts}}/{{locator}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        spec=spec("measure_fidelity"),
        code=code("measure_fidelity"),
    shell:
        "caploc measure_fidelity --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input prompts={input.prompts:q} --input located={input.located:q}"
        " --output part={output.part:q}"


rule measure_kn_on_tasks:
    input:
        shards=lambda wildcards: facts_plan.task_shards(PLAN, wildcards.model),
    output:
        part=f"{R}/fidelity/{{model}}/tasks.parquet",
    log:
        f"{LOGS}/measure_kn_on_tasks/{{model}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        spec=spec("measure_kn_on_tasks"),
        code=code("measure_kn_on_tasks"),
    shell:
        "caploc measure_kn_on_tasks --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input shards={input.shards:q} --output part={output.part:q}"


rule tabulate_fidelity:
    input:
        parts=facts_plan.parts(PLAN) if "fidelity" in PLAN.run["experiments"] else [],
    output:
        csv=f"{R}/tables/fidelity.csv",
        parquet=f"{R}/tables/fidelity.parquet",
    log:
        f"{LOGS}/tabulate_fidelity.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_fidelity"),
        code=code("tabulate_fidelity"),
    shell:
        "caploc tabulate_fidelity --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input parts={input.parts:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"


rule tabulate_tracing:
    input:
        **facts_plan.traced(PLAN),
    output:
        csv=f"{R}/tables/tracing.csv",
        parquet=f"{R}/tables/tracing.parquet",
    log:
        f"{LOGS}/tabulate_tracing.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_tracing"),
        code=code("tabulate_tracing"),
    shell:
        "caploc tabulate_tracing --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input prompts={input.prompts:q} --input located={input.located:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"

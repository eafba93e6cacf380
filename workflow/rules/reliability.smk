# Locators of single facts by their own validations: located against the best of random.
from caploc.plan import facts as facts_plan
from caploc.plan import reliability as reliability_plan


rule sum_keys:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=reliability_plan.texts(PLAN),
    output:
        moments=f"{R}/moments/{{model}}/moments.json",
    log:
        f"{LOGS}/sum_keys/{{model}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(6000),
        runtime=grows(240),
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("sum_keys"),
        code=code("sum_keys"),
    shell:
        "caploc sum_keys --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input samples={input.samples:q}"
        " --output moments={output.moments:q}"


rule validate_kn:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
        located=lambda wildcards: facts_plan.located_shards(
            PLAN, wildcards.model, wildcards.facts, "kn"
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
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("validate_kn"),
        code=code("validate_kn"),
    shell:
        "caploc validate_kn --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input prompts={input.prompts:q}"
        " --input located={input.located:q} --output outcomes={output.outcomes:q}"


rule validate_circuit:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
        located=lambda wildcards: facts_plan.located_shards(
            PLAN, wildcards.model, wildcards.facts, "circuit"
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
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("validate_circuit"),
        code=code("validate_circuit"),
    shell:
        "caploc validate_circuit --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input prompts={input.prompts:q}"
        " --input located={input.located:q} --output outcomes={output.outcomes:q}"


rule edit_facts:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        facts=f"{R}/facts/{{facts}}/facts.parquet",
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
        located=lambda wildcards: facts_plan.located_shards(
            PLAN, wildcards.model, wildcards.facts, "rome"
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
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("edit_facts"),
        code=code("edit_facts"),
    shell:
        "caploc edit_facts --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input facts={input.facts:q}"
        " --input prompts={input.prompts:q} --input located={input.located:q}"
        " --input moments={input.moments:q} --output outcomes={output.outcomes:q}"


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
        spec=spec("measure_reliability"),
        code=code("measure_reliability"),
    shell:
        "caploc measure_reliability --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input kn={input.kn:q} --input circuit={input.circuit:q} --input edits={input.edits:q}"
        " --output part={output.part:q}"


rule ablate_units:
    input:
        unpack(
            lambda wildcards: reliability_plan.ablation_inputs(
                PLAN, wildcards.model, wildcards.facts, wildcards.shard
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
        gpu=lambda wildcards: PLAN.n_gpus(wildcards.model),
    params:
        spec=spec("ablate_units"),
        code=code("ablate_units"),
    shell:
        "caploc ablate_units --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q} --input prompts={input.prompts:q}"
        " --input kn={input.kn:q} --input rome={input.rome:q} --input circuit={input.circuit:q}"
        " --input neutral={input.neutral:q} --output outcomes={output.outcomes:q}"


rule measure_ablation:
    input:
        outcomes=lambda wildcards: reliability_plan.ablated_shards(
            PLAN, wildcards.model, wildcards.facts
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
        spec=spec("measure_ablation"),
        code=code("measure_ablation"),
    shell:
        "caploc measure_ablation --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input outcomes={input.outcomes:q} --output part={output.part:q}"


rule tabulate_reliability:
    input:
        parts=(
            reliability_plan.reliability_parts(PLAN)
            if "reliability" in PLAN.run["experiments"]
            else []
        ),
    output:
        csv=f"{R}/tables/reliability.csv",
        parquet=f"{R}/tables/reliability.parquet",
    log:
        f"{LOGS}/tabulate_reliability.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_reliability"),
        code=code("tabulate_reliability"),
    shell:
        "caploc tabulate_reliability --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input parts={input.parts:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"

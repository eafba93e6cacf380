# Mean scores to masks, and how well masks agree. No torch here: these jobs are short.


rule build_mask:
    input:
        scores=f"{R}/scores/{{model}}/{{task}}/{{method}}.parquet",
    output:
        mask=f"{R}/masks/{{model}}/{{task}}/{{method}}/{{mask}}.parquet",
    log:
        f"{LOGS}/build_mask/{{model}}/{{task}}/{{method}}/{{mask}}.log",
    wildcard_constraints:
        task="[a-z0-9][a-z0-9-]*",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    params:
        spec=spec("build_mask"),
        code=code("build_mask"),
    shell:
        "caploc build_mask --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input scores={input.scores:q} --output mask={output.mask:q}"


rule measure_agreement:
    input:
        unpack(
            lambda wildcards: PLAN.agreement_inputs(
                wildcards.model, wildcards.task, wildcards.method
            )
        ),
    output:
        part=f"{R}/agreement/{{model}}/{{task}}/{{method}}/{{mask}}.parquet",
    log:
        f"{LOGS}/measure_agreement/{{model}}/{{task}}/{{method}}/{{mask}}.log",
    wildcard_constraints:
        task="[a-z0-9][a-z0-9-]*",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("measure_agreement"),
        code=code("measure_agreement"),
        shuffled=lambda wildcards, input: input.get("shuffled", []),
        converged=lambda wildcards, input: input.get("converged", []),
    shell:
        "caploc measure_agreement --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input scores={input.scores:q} --input shuffled={params.shuffled:q}"
        " --input converged={params.converged:q} --output part={output.part:q}"


rule measure_overlap:
    input:
        masks=lambda wildcards: PLAN.masks(
            wildcards.model, wildcards.method, wildcards.mask
        ),
    output:
        part=f"{R}/overlap/{{model}}/{{method}}/{{mask}}.parquet",
    log:
        f"{LOGS}/measure_overlap/{{model}}/{{method}}/{{mask}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("measure_overlap"),
        code=code("measure_overlap"),
    shell:
        "caploc measure_overlap --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input masks={input.masks:q} --output part={output.part:q}"

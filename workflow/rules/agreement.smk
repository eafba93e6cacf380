# Halves of a task and of its references, pairs of tasks: do they locate the same neurons (Table 1)?


rule measure_agreement:
    input:
        unpack(
            lambda wildcards: RUN.agreement_inputs(
                wildcards.model, wildcards.task, wildcards.method, wildcards.mask
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
        **told("measure_agreement"),
    shell:
        command("measure_agreement")


rule measure_overlap:
    input:
        masks=lambda wildcards: RUN.masks(
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
        **told("measure_overlap"),
    shell:
        command("measure_overlap")


rule tabulate_agreement:
    input:
        parts=RUN.all_agreement(),
    output:
        csv=report(f"{R}/tables/agreement.csv", category="Tables"),
        parquet=f"{R}/tables/agreement.parquet",
    log:
        f"{LOGS}/tabulate_agreement.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("join_parts", table="agreement"),
    shell:
        command("join_parts")

# Do the locators of single facts find the same units for a rewritten prompt?
from caploc.experiments.fidelity import jobs as fidelity
from caploc.stages.jobs import located_shards


rule measure_fidelity:
    input:
        prompts=f"{R}/facts/{{facts}}/{{model}}/prompts.parquet",
        located=lambda wildcards: located_shards(
            RUN, wildcards.model, wildcards.facts, wildcards.locator
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
        **told("measure_fidelity"),
    shell:
        command("measure_fidelity")


rule measure_kn_on_tasks:
    input:
        shards=lambda wildcards: fidelity.task_shards(RUN, wildcards.model),
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
        **told("measure_kn_on_tasks"),
    shell:
        command("measure_kn_on_tasks")


rule tabulate_fidelity:
    input:
        parts=fidelity.parts(RUN) if "fidelity" in RUN.settings["experiments"] else [],
    output:
        csv=report(f"{R}/tables/fidelity.csv", category="Tables"),
        parquet=f"{R}/tables/fidelity.parquet",
    log:
        f"{LOGS}/tabulate_fidelity.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("join_parts", table="fidelity"),
    shell:
        command("join_parts")


rule tabulate_tracing:
    input:
        **fidelity.traced(RUN),
    output:
        csv=report(f"{R}/tables/tracing.csv", category="Tables"),
        parquet=f"{R}/tables/tracing.parquet",
    log:
        f"{LOGS}/tabulate_tracing.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("tabulate_tracing"),
    shell:
        command("tabulate_tracing")

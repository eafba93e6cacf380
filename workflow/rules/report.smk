# Tidy tables, one number a row, and the report. `snakemake --cores 2 tabulate_agreement` makes one.


rule tabulate_neurons:
    input:
        masks=RUN.all_masks(),
    output:
        csv=report(f"{R}/tables/neurons.csv", category="Tables"),
        parquet=f"{R}/tables/neurons.parquet",
    log:
        f"{LOGS}/tabulate_neurons.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("tabulate_neurons"),
    shell:
        command("tabulate_neurons")


rule tabulate_base:
    input:
        answers=expand(
            f"{R}/base/{{model}}/{{task}}.parquet",
            model=RUN.settings["models"],
            task=RUN.settings["tasks"],
        ),
    output:
        csv=report(f"{R}/tables/base.csv", category="Tables"),
        parquet=f"{R}/tables/base.parquet",
    log:
        f"{LOGS}/tabulate_base.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("tabulate_base"),
    shell:
        command("tabulate_base")


rule tabulate_samples:
    input:
        samples=expand(
            f"{R}/samples/{{task}}/{{split}}.parquet", task=RUN.tasks, split=SPLITS
        ),
        shards=RUN.all_shards(),
    output:
        csv=report(f"{R}/tables/samples.csv", category="Tables"),
        parquet=f"{R}/tables/samples.parquet",
    log:
        f"{LOGS}/tabulate_samples.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("tabulate_samples"),
    shell:
        command("tabulate_samples")


rule tabulate_completeness:
    input:
        scores=RUN.all_scores(),
    output:
        csv=report(f"{R}/tables/completeness.csv", category="Tables"),
        parquet=f"{R}/tables/completeness.parquet",
    log:
        f"{LOGS}/tabulate_completeness.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("tabulate_completeness"),
    shell:
        command("tabulate_completeness")


rule write_report:
    input:
        **{table: f"{R}/tables/{table}.parquet" for table in RUN.tables},
        **RUN.page_inputs(),
        models=expand(
            f"{R}/models/{{model}}/manifest.json", model=RUN.settings["models"]
        ),
        losses=expand(f"{R}/models/{{model}}/loss.parquet", model=RUN.trained_models),
        splits=f"{R}/samples/disjoint.json",
    output:
        report=report(f"{R}/report.html", category="Page"),
        figures=f"{R}/figures/manifest.json",
    log:
        f"{LOGS}/write_report.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("write_report"),
    shell:
        command("write_report")

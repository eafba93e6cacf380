# Tidy tables, one number a row, and the report. `snakemake --cores 2 tabulate_agreement` makes one.
from caploc.plan.spine import example_files


rule tabulate_agreement:
    input:
        parts=PLAN.all_agreement(),
    output:
        csv=f"{R}/tables/agreement.csv",
        parquet=f"{R}/tables/agreement.parquet",
    log:
        f"{LOGS}/tabulate_agreement.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_agreement"),
        code=code("tabulate_agreement"),
    shell:
        "caploc tabulate_agreement --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input parts={input.parts:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"


rule tabulate_neurons:
    input:
        masks=PLAN.all_masks(),
    output:
        csv=f"{R}/tables/neurons.csv",
        parquet=f"{R}/tables/neurons.parquet",
    log:
        f"{LOGS}/tabulate_neurons.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_neurons"),
        code=code("tabulate_neurons"),
    shell:
        "caploc tabulate_neurons --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input masks={input.masks:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"


rule tabulate_base:
    input:
        answers=expand(
            f"{R}/base/{{model}}/{{task}}.parquet",
            model=PLAN.run["models"],
            task=PLAN.run["tasks"],
        ),
    output:
        csv=f"{R}/tables/base.csv",
        parquet=f"{R}/tables/base.parquet",
    log:
        f"{LOGS}/tabulate_base.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_base"),
        code=code("tabulate_base"),
    shell:
        "caploc tabulate_base --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input answers={input.answers:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"


rule tabulate_samples:
    input:
        samples=expand(
            f"{R}/samples/{{task}}/{{split}}.parquet", task=PLAN.tasks, split=SPLITS
        ),
        shards=PLAN.all_shards(),
    output:
        csv=f"{R}/tables/samples.csv",
        parquet=f"{R}/tables/samples.parquet",
    log:
        f"{LOGS}/tabulate_samples.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_samples"),
        code=code("tabulate_samples"),
    shell:
        "caploc tabulate_samples --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input samples={input.samples:q} --input shards={input.shards:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"


rule tabulate_completeness:
    input:
        scores=PLAN.all_scores(),
    output:
        csv=f"{R}/tables/completeness.csv",
        parquet=f"{R}/tables/completeness.parquet",
    log:
        f"{LOGS}/tabulate_completeness.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_completeness"),
        code=code("tabulate_completeness"),
    shell:
        "caploc tabulate_completeness --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input scores={input.scores:q}"
        " --output csv={output.csv:q} --output parquet={output.parquet:q}"


rule write_report:
    input:
        **{table: f"{R}/tables/{table}.parquet" for table in PLAN.tables},
        **example_files(PLAN),
        models=expand(f"{R}/models/{{model}}/manifest.json", model=PLAN.run["models"]),
        losses=expand(f"{R}/models/{{model}}/loss.parquet", model=PLAN.trained_models),
        splits=f"{R}/samples/disjoint.json",
    output:
        report=f"{R}/report.html",
        figures=f"{R}/figures/manifest.json",
    log:
        f"{LOGS}/write_report.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("write_report"),
        code=code("write_report"),
        # ids only, nothing to quote
        tables=" ".join(
            [f"--input {table}={R}/tables/{table}.parquet" for table in PLAN.tables]
            + [f"--input {name}={path}" for name, path in example_files(PLAN).items()]
        ),
    shell:
        "caploc write_report --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " {params.tables} --input models={input.models:q}"
        " --input losses={input.losses:q} --input splits={input.splits:q}"
        " --output report={output.report:q} --output figures={output.figures:q}"

# Planted models and how well locators find what was planted: `snakemake known_answer`. No part of the
# default run.
from caploc.plan import known_answer as known_plan


rule plant_model:
    output:
        manifest=f"{R}/known-answer/{{plant}}/{{seed}}/manifest.json",
        sets=f"{R}/known-answer/{{plant}}/{{seed}}/sets.parquet",
        loss=f"{R}/known-answer/{{plant}}/{{seed}}/loss.parquet",
    log:
        f"{LOGS}/plant_model/{{plant}}-{{seed}}.log",
    benchmark:
        f"{R}/timings/plant_model/{{plant}}-{{seed}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    threads: 2
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        spec=spec("plant_model"),
        code=code("plant_model"),
    shell:
        "caploc plant_model --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --output manifest={output.manifest:q}"
        " --output sets={output.sets:q}"
        " --output loss={output.loss:q}"


rule check_plant:
    input:
        manifest=f"{R}/known-answer/{{plant}}/{{seed}}/manifest.json",
        sets=f"{R}/known-answer/{{plant}}/{{seed}}/sets.parquet",
        samples=expand(
            f"{R}/samples/{{task}}/test.parquet",
            task=known_plan.known_answer_tasks(PLAN),
        ),
    output:
        check=f"{R}/known-answer/{{plant}}/{{seed}}/check.json",
    log:
        f"{LOGS}/check_plant/{{plant}}-{{seed}}.log",
    benchmark:
        f"{R}/timings/check_plant/{{plant}}-{{seed}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        spec=spec("check_plant"),
        code=code("check_plant"),
    shell:
        "caploc check_plant --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q}"
        " --input sets={input.sets:q}"
        " --input samples={input.samples:q}"
        " --output check={output.check:q}"


rule measure_effects:
    input:
        manifest=f"{R}/known-answer/{{plant}}/{{seed}}/manifest.json",
        sets=f"{R}/known-answer/{{plant}}/{{seed}}/sets.parquet",
        samples=f"{R}/samples/{{task}}/test.parquet",
    output:
        effects=f"{R}/known-answer/{{plant}}/{{seed}}/{{task}}/effects.parquet",
    log:
        f"{LOGS}/measure_effects/{{plant}}-{{seed}}/{{task}}.log",
    benchmark:
        f"{R}/timings/measure_effects/{{plant}}-{{seed}}/{{task}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        spec=spec("measure_effects"),
        code=code("measure_effects"),
    shell:
        "caploc measure_effects --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q}"
        " --input sets={input.sets:q}"
        " --input samples={input.samples:q}"
        " --output effects={output.effects:q}"


rule score_plant:
    input:
        manifest=f"{R}/known-answer/{{plant}}/{{seed}}/manifest.json",
        own=f"{R}/samples/{{task}}/locate.parquet",
        others=lambda wildcards: [
            f"{R}/samples/{task}/locate.parquet"
            for task in known_plan.known_answer_tasks(PLAN)
            if task != wildcards.task
        ],
        neutral=(
            f"{R}/samples/{PLAN.run['neutral']}/locate.parquet"
            if PLAN.run["neutral"]
            else []
        ),
    output:
        scores=f"{R}/known-answer/{{plant}}/{{seed}}/{{task}}/scores.parquet",
    log:
        f"{LOGS}/score_plant/{{plant}}-{{seed}}/{{task}}.log",
    benchmark:
        f"{R}/timings/score_plant/{{plant}}-{{seed}}/{{task}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(120),
    params:
        spec=spec("score_plant"),
        code=code("score_plant"),
    shell:
        "caploc score_plant --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q}"
        " --input own={input.own:q}"
        " --input others={input.others:q}"
        " --input neutral={input.neutral:q}"
        " --output scores={output.scores:q}"


rule rank_plant:
    input:
        check=f"{R}/known-answer/{{plant}}/{{seed}}/check.json",
        sets=f"{R}/known-answer/{{plant}}/{{seed}}/sets.parquet",
        scores=f"{R}/known-answer/{{plant}}/{{seed}}/{{task}}/scores.parquet",
        effects=f"{R}/known-answer/{{plant}}/{{seed}}/{{task}}/effects.parquet",
    output:
        part=f"{R}/known-answer/{{plant}}/{{seed}}/{{task}}/ranking.parquet",
    log:
        f"{LOGS}/rank_plant/{{plant}}-{{seed}}/{{task}}.log",
    benchmark:
        f"{R}/timings/rank_plant/{{plant}}-{{seed}}/{{task}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("rank_plant"),
        code=code("rank_plant"),
    shell:
        "caploc rank_plant --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input check={input.check:q}"
        " --input sets={input.sets:q}"
        " --input scores={input.scores:q}"
        " --input effects={input.effects:q}"
        " --output part={output.part:q}"


rule check_null:
    input:
        manifest=f"{R}/known-answer/{{plant}}/{{seed}}/manifest.json",
        sets=f"{R}/known-answer/{{plant}}/{{seed}}/sets.parquet",
        locate=f"{R}/samples/{{task}}/locate.parquet",
        test=f"{R}/samples/{{task}}/test.parquet",
        shuffled=f"{R}/samples/{{task}}.shuffled/locate.parquet",
        other=lambda wildcards: (
            f"{R}/samples/{known_plan.other_task(PLAN, wildcards.plant, wildcards.task)}/test.parquet"
        ),
    output:
        part=f"{R}/known-answer/{{plant}}/{{seed}}/{{task}}/null.parquet",
    log:
        f"{LOGS}/check_null/{{plant}}-{{seed}}/{{task}}.log",
    benchmark:
        f"{R}/timings/check_null/{{plant}}-{{seed}}/{{task}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(120),
    params:
        spec=spec("check_null"),
        code=code("check_null"),
    shell:
        "caploc check_null --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input manifest={input.manifest:q}"
        " --input sets={input.sets:q}"
        " --input locate={input.locate:q}"
        " --input test={input.test:q}"
        " --input shuffled={input.shuffled:q}"
        " --input other={input.other:q}"
        " --output part={output.part:q}"


rule tabulate_known_answer:
    input:
        parts=lambda wildcards: known_plan.known_answer_parts(PLAN, wildcards.extent),
    output:
        csv=f"{R}/tables/{{extent}}.csv",
        parquet=f"{R}/tables/{{extent}}.parquet",
    log:
        f"{LOGS}/tabulate_known_answer/{{extent}}.log",
    wildcard_constraints:
        extent=any_of(known_plan.EXTENTS),
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("tabulate_known_answer"),
        code=code("tabulate_known_answer"),
    shell:
        "caploc tabulate_known_answer --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input parts={input.parts:q}"
        " --output csv={output.csv:q}"
        " --output parquet={output.parquet:q}"


rule write_known_answer:
    input:
        table=f"{R}/tables/{{extent}}.parquet",
    output:
        page=f"{R}/{{extent}}.html",
    log:
        f"{LOGS}/write_known_answer/{{extent}}.log",
    wildcard_constraints:
        extent=any_of(known_plan.EXTENTS),
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        spec=spec("write_known_answer"),
        code=code("write_known_answer"),
    shell:
        "caploc write_known_answer --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input table={input.table:q}"
        " --output page={output.page:q}"

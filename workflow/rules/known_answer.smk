# Planted models and how well locators find what was planted: `snakemake known_answer`. No part of the
# default run.
from caploc.experiments.known_answer import jobs as planted


localrules:
    known_answer,
    known_answer_full,
    known_answer_tried,


rule known_answer:
    input:
        f"{R}/known_answer.html",


rule known_answer_full:
    input:
        f"{R}/known_answer_full.html",


rule known_answer_tried:
    input:
        f"{R}/known_answer_tried.html",


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
        **told("plant_model"),
    shell:
        command("plant_model")


rule check_plant:
    input:
        manifest=f"{R}/known-answer/{{plant}}/{{seed}}/manifest.json",
        sets=f"{R}/known-answer/{{plant}}/{{seed}}/sets.parquet",
        samples=expand(
            f"{R}/samples/{{task}}/test.parquet",
            task=planted.known_answer_tasks(RUN),
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
        **told("check_plant"),
    shell:
        command("check_plant")


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
        **told("measure_effects"),
    shell:
        command("measure_effects")


rule score_plant:
    input:
        manifest=f"{R}/known-answer/{{plant}}/{{seed}}/manifest.json",
        own=f"{R}/samples/{{task}}/locate.parquet",
        others=lambda wildcards: [
            f"{R}/samples/{task}/locate.parquet"
            for task in planted.known_answer_tasks(RUN)
            if task != wildcards.task
        ],
        neutral=(
            f"{R}/samples/{RUN.settings['neutral']}/locate.parquet"
            if RUN.settings["neutral"]
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
        **told("score_plant"),
    shell:
        command("score_plant")


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
        **told("rank_plant"),
    shell:
        command("rank_plant")


rule check_null:
    input:
        manifest=f"{R}/known-answer/{{plant}}/{{seed}}/manifest.json",
        sets=f"{R}/known-answer/{{plant}}/{{seed}}/sets.parquet",
        locate=f"{R}/samples/{{task}}/locate.parquet",
        test=f"{R}/samples/{{task}}/test.parquet",
        shuffled=f"{R}/samples/{{task}}.shuffled/locate.parquet",
        other=lambda wildcards: (
            f"{R}/samples/{planted.other_task(RUN, wildcards.plant, wildcards.task)}/test.parquet"
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
        **told("check_null"),
    shell:
        command("check_null")


rule tabulate_known_answer:
    input:
        parts=lambda wildcards: planted.known_answer_parts(RUN, wildcards.extent),
    output:
        csv=report(f"{R}/tables/{{extent}}.csv", category="Tables"),
        parquet=f"{R}/tables/{{extent}}.parquet",
    log:
        f"{LOGS}/tabulate_known_answer/{{extent}}.log",
    wildcard_constraints:
        extent=any_of(planted.EXTENTS),
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("tabulate_known_answer"),
    shell:
        command("tabulate_known_answer")


rule write_known_answer:
    input:
        table=f"{R}/tables/{{extent}}.parquet",
    output:
        page=report(f"{R}/{{extent}}.html", category="Page"),
    log:
        f"{LOGS}/write_known_answer/{{extent}}.log",
    wildcard_constraints:
        extent=any_of(planted.EXTENTS),
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("write_known_answer"),
    shell:
        command("write_known_answer")

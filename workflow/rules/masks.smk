# From data to masks: models, samples, scores of every neuron, their means, and what is located.


# Where models come from: trained here, or fetched. The declared output is the manifest, written
# last with the digests of all files, so that a half-saved model is never taken for a model.


rule train_model:
    output:
        manifest=f"{R}/models/{{model}}/manifest.json",
        loss=f"{R}/models/{{model}}/loss.parquet",
        prompts=f"{R}/models/{{model}}/training_prompts.parquet",
    log:
        f"{LOGS}/train_model/{{model}}.log",
    benchmark:
        f"{R}/timings/train_model/{{model}}.jsonl"
    wildcard_constraints:
        model=any_of(RUN.trained_models),
    # All models first: begun later, one would wait until no job of one thread runs.
    priority: 20
    conda:
        "../../envs/caploc.yaml"
    threads: 2
    resources:
        mem_mb=grows(4000),
        runtime=grows(30),
    params:
        **told("train_model"),
    shell:
        command("train_model")


rule fetch_model:
    output:
        manifest=f"{R}/models/{{model}}/manifest.json",
    log:
        f"{LOGS}/fetch_model/{{model}}.log",
    wildcard_constraints:
        model=any_of([m for m in RUN.settings["models"] if m not in RUN.trained_models]),
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(240),
    params:
        **told("fetch_model"),
    shell:
        command("fetch_model")


rule evaluate_base:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=f"{R}/samples/{{task}}/test.parquet",
    output:
        answers=f"{R}/base/{{model}}/{{task}}.parquet",
    log:
        f"{LOGS}/evaluate_base/{{model}}/{{task}}.log",
    benchmark:
        f"{R}/timings/evaluate_base/{{model}}/{{task}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("evaluate_base"),
    shell:
        command("evaluate_base")


# Data sets to samples: four splits of every task, and the shuffled reference.


rule prepare_samples:
    output:
        locate=f"{R}/samples/{{task}}/locate.parquet",
        train=f"{R}/samples/{{task}}/train.parquet",
        validation=f"{R}/samples/{{task}}/validation.parquet",
        test=f"{R}/samples/{{task}}/test.parquet",
    log:
        f"{LOGS}/prepare_samples/{{task}}.log",
    wildcard_constraints:
        task="[a-z0-9][a-z0-9-]*",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(60),
    params:
        **told("prepare_samples"),
    shell:
        command("prepare_samples")


rule shuffle_answers:
    input:
        samples=f"{R}/samples/{{task}}/locate.parquet",
    output:
        samples=f"{R}/samples/{{task}}.shuffled/locate.parquet",
    log:
        f"{LOGS}/shuffle_answers/{{task}}.log",
    wildcard_constraints:
        task="[a-z0-9][a-z0-9-]*",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("shuffle_answers"),
    shell:
        command("shuffle_answers")


rule check_splits:
    input:
        samples=expand(
            f"{R}/samples/{{task}}/{{split}}.parquet", task=RUN.tasks, split=SPLITS
        ),
        prompts=expand(
            f"{R}/models/{{model}}/training_prompts.parquet", model=RUN.trained_models
        ),
    output:
        report=f"{R}/samples/disjoint.json",
    log:
        f"{LOGS}/check_splits.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        **told("check_splits"),
    shell:
        command("check_splits")


# Per-sample neuron scores, shard by shard, and their means.


rule attribute_shard:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=f"{R}/samples/{{task}}/locate.parquet",
    output:
        scores=f"{R}/attributions/{{model}}/{{task}}/{{method}}/shard-{{shard}}.parquet",
    log:
        f"{LOGS}/attribute_shard/{{model}}/{{task}}/{{method}}/{{shard}}.log",
    benchmark:
        f"{R}/timings/attribute_shard/{{model}}/{{task}}/{{method}}/{{shard}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("attribute_shard"),
    shell:
        command("attribute_shard")


rule score_converged:
    input:
        manifest=f"{R}/models/{{model}}/manifest.json",
        samples=expand(f"{R}/samples/{{task}}/locate.parquet", task=RUN.tasks),
        shards=lambda wildcards: [
            RUN.shards(wildcards.model, task, wildcards.method)[0]
            for task in RUN.tasks
        ],
    output:
        scores=f"{R}/converged/{{model}}/{{method}}.parquet",
    log:
        f"{LOGS}/score_converged/{{model}}/{{method}}.log",
    benchmark:
        f"{R}/timings/score_converged/{{model}}/{{method}}.jsonl"
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("score_converged"),
    shell:
        command("score_converged")


rule aggregate_scores:
    input:
        shards=lambda wildcards: RUN.shards(
            wildcards.model, wildcards.task, wildcards.method
        ),
    output:
        scores=f"{R}/scores/{{model}}/{{task}}/{{method}}.parquet",
    log:
        f"{LOGS}/aggregate_scores/{{model}}/{{task}}/{{method}}.log",
    conda:
        "../../envs/caploc.yaml"
    # One thread: a job of two waits on two cores for as long as a longer one of one thread runs there.
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        **told("aggregate_scores"),
    shell:
        command("aggregate_scores")


rule aggregate_mixture:
    input:
        shards=lambda wildcards: [
            shard
            for task in RUN.settings["tasks"]
            for shard in RUN.shards(wildcards.model, task, wildcards.method)
        ],
    output:
        scores=f"{R}/scores/{{model}}/mixture/{{method}}.parquet",
    log:
        f"{LOGS}/aggregate_mixture/{{model}}/{{method}}.log",
    conda:
        "../../envs/caploc.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        **told("aggregate_mixture"),
    shell:
        command("aggregate_mixture")


# Mean scores to masks, and how well masks agree. No torch here: these jobs are short.


rule build_mask:
    input:
        unpack(
            lambda wildcards: RUN.mask_inputs(
                wildcards.model, wildcards.task, wildcards.method, wildcards.mask
            )
        ),
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
        **told("build_mask"),
    shell:
        command("build_mask")


# Single facts: which are known, and what each locator finds for them.


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
        **told("prepare_facts"),
    shell:
        command("prepare_facts")


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
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("recall_facts"),
    shell:
        command("recall_facts")


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
        gpu=lambda wildcards: RUN.n_gpus(wildcards.model),
    params:
        **told("locate_facts"),
    shell:
        command("locate_facts")

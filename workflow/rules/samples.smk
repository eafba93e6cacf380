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
        spec=spec("prepare_samples"),
        code=code("prepare_samples"),
    shell:
        "caploc prepare_samples --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --output locate={output.locate:q} --output train={output.train:q}"
        " --output validation={output.validation:q} --output test={output.test:q}"


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
        spec=spec("shuffle_answers"),
        code=code("shuffle_answers"),
    shell:
        "caploc shuffle_answers --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input samples={input.samples:q} --output samples={output.samples:q}"


rule check_splits:
    input:
        samples=expand(
            f"{R}/samples/{{task}}/{{split}}.parquet", task=PLAN.tasks, split=SPLITS
        ),
        prompts=expand(
            f"{R}/models/{{model}}/training_prompts.parquet", model=PLAN.trained_models
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
        spec=spec("check_splits"),
        code=code("check_splits"),
    shell:
        "caploc check_splits --threads {threads} --log {log:q} --spec {params.spec:q} --code {params.code}"
        " --input samples={input.samples:q} --input prompts={input.prompts:q}"
        " --output report={output.report:q}"

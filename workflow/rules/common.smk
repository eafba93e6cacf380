# What all rules share: the checked configuration, and what a job is told.
import sys
from shlex import quote

from caploc.jobs.run import SPLITS
from caploc.jobs.handed import handed
from caploc.records import DataError
from caploc.samples.data_check import checked_run

# Snakemake imports pandas, half a second of every call, to look for data frames among parameters. Ours
# are strings. None says that there is no such module, in this process; jobs are others.
if not workflow.modifier.is_module:  # whose workflow may use it
    sys.modules.setdefault("pandas", None)

try:
    RUN, NOTES = checked_run(config)
except DataError as error:
    sys.exit(f"caploc: {error}")
for note in [RUN.older_layout(), *NOTES]:
    if note:
        logger.warning(f"caploc: {note}")


def literal(text):
    """Text that Snakemake's formatting leaves as it is: folders may have braces in their names."""
    return text.replace("{", "{{").replace("}", "}}")


R = RUN.root.as_posix()
LOGS = f"logs/{RUN.settings['name']}"
# Jobs call `caploc` from the environment that runs Snakemake, activated or not. With conda each rule
# has an environment of its own, which holds what caploc needs, but not caploc.
# Other runs whose finished files may be taken. In the environment: it is no parameter, since no
# result depends on it.
for name in RUN.settings["reuse"]:
    if not Path("results", name).is_dir():
        sys.exit(
            f"caploc: config: run.reuse: no folder results/{name}; name a run that has been made"
        )
REUSE = f"export CAPLOC_REUSE={quote(':'.join(f'results/{n}' for n in RUN.settings['reuse']))}; "
LIBRARY = RULES.parent
PROGRAMS = quote(str(Path(sys.executable).parent))
if "conda" in map(str, workflow.deployment_settings.deployment_method):
    if not (LIBRARY / "caploc").is_dir():
        sys.exit("caploc: conda environments need the repository; run in a clone of it")
    shell.prefix(
        literal(
            REUSE
            + f'caploc() {{ PYTHONPATH={quote(str(LIBRARY))} python -m caploc.cli "$@"; }}; '
        )
    )
else:
    shell.prefix(literal(REUSE + f'PATH={PROGRAMS}:"$PATH"; '))


def told(stage, **fixed):
    """Parameters of a rule: settings and code of its job by the wildcards, and its named files.

    `fixed`: what stands in place of wildcards where several rules run one stage.

    A change of settings or code runs the job again. Snakemake leaves parameters that read input or
    output out of that comparison, so `files` stays apart.
    """
    return {
        "spec": lambda wildcards: handed(
            [RUN.spec(stage, **dict(wildcards.items()), **fixed)]
        )[0],
        "code": lambda wildcards: RUN.code(stage, **dict(wildcards.items()), **fixed),
        "files": lambda wildcards, input, output: handed(
            [
                word
                for kind, files in (("input", input), ("output", output))
                for name, paths in files.items()
                for word in (f"--{kind}", *named(name, paths))
            ]
        ),
    }


def named(name, paths):
    """`name=path`, and further paths of the same name."""
    first, *more = [paths] if isinstance(paths, str) else paths or [""]
    return [f"{name}={first}", *more]


def command(stage):
    """What runs the job of a rule whose parameters are `told`."""
    return (
        f"caploc {stage} --threads {{threads}} --log {{log:q}} --spec {{params.spec:q}}"
        " --code {params.code} {params.files:q}"
    )


def grows(amount):
    """Memory in MB or time in minutes of the first attempt; a retry gets once more of it each time."""
    return lambda wildcards, attempt: amount * attempt


def any_of(names):
    """A wildcard constraint that matches exactly these ids (and nothing when there are none)."""
    return "|".join(names) or "(?!)"

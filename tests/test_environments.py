"""The conda environment, the pinned requirements and the project file name the same packages."""

import re
import tomllib
from pathlib import Path

import yaml
from workflow_rules import read_rules

REPOSITORY = Path(__file__).resolve().parents[1]
ENVS = REPOSITORY / "envs"


def pins(text: str) -> dict[str, str]:
    """Versions by package, of the lines of a requirements file; any other kind of line fails."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = dict(line.split("==") for line in lines)
    return {re.sub("[-_.]+", "-", name).lower(): version for name, version in found.items()}


def read(name: str) -> dict[str, str]:
    return pins((ENVS / name).read_text())


def test_conda_gives_jobs_the_pinned_packages_without_snakemake():
    environment = yaml.safe_load((ENVS / "caploc.yaml").read_text())
    python, pip, packages = environment["dependencies"]
    assert pip == "pip"
    required = read("requirements.txt")
    assert required.pop("snakemake")
    assert pins("\n".join(packages["pip"])) == required
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    low, high = re.findall(r"3\.(\d+)", project["requires-python"])
    assert int(low) <= int(python.removeprefix("python=3.")) < int(high)


def test_every_rule_names_an_environment_that_exists():
    for rule in read_rules().values():
        assert (REPOSITORY / "workflow/rules" / str(rule.conda_env)).is_file(), rule.name


def test_every_pin_is_among_the_constraints():
    constraints = read("constraints.txt")
    # which may name a build, such as 2.13.0+cpu
    constraints["torch"] = read("requirements.txt")["torch"]
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-slurm.txt"):
        for package, version in read(name).items():
            assert constraints[package] == version, f"{name}: {package}"


def test_what_the_project_needs_is_pinned():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    needed = {re.split(r"[\[<>=]", line)[0] for line in lines} - {"caploc"}
    assert needed == read("requirements.txt").keys() | read("requirements-slurm.txt").keys()

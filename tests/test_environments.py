"""The conda environment, the pinned requirements and the project file name the same packages."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from workflow_rules import read_rules

REPOSITORY = Path(__file__).resolve().parents[1]
ENVS = REPOSITORY / "envs"


def pins(text: str) -> dict[str, str]:
    """Versions by package, of the lines of a requirements file; any other kind of line fails."""
    lines = re.sub(r" \\\n *--hash=\S+", "", text).splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    found = dict(line.split("==") for line in lines)
    return {re.sub("[-_.]+", "-", name).lower(): version for name, version in found.items()}


def locked(*names: str) -> dict[str, tuple[str, str]]:
    """Version and everything else said of each package in lock files."""
    text = "".join((ENVS / name).read_text() for name in names)
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)(.*(?:\n    .*)*)", text, flags=re.M)
    return {re.sub("[-_.]+", "-", name).lower(): (version, rest) for name, version, rest in found}


def read(name: str) -> dict[str, str]:
    return pins((ENVS / name).read_text())


def test_conda_gives_jobs_the_pinned_packages_without_snakemake():
    environment = yaml.safe_load((ENVS / "caploc.yaml").read_text())
    python, pip, packages = environment["dependencies"]
    assert pip == "pip"
    required = read("requirements.txt")
    assert required.pop("snakemake") and required.pop("snakemake-interface-logger-plugins")
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
    slurm = {line.partition(">")[0] for line in extras.pop("slurm")} - {"caploc[workflow]"}
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    needed = pins("\n".join(re.split(r"[\[<>=]", line)[0] + "==" for line in lines))
    assert needed.keys() - {"caploc"} == read("requirements.txt").keys()
    assert slurm <= read("requirements-slurm.txt").keys()


LOCKS = ("lock.txt", "lock-torch.txt", "lock-dev.txt")


@pytest.mark.parametrize("name", [*LOCKS, "requirements-model.txt", "requirements-slurm.txt"])
def test_every_package_that_is_installed_has_digests(name):
    packages = locked(name)
    assert packages
    for package, (_, rest) in packages.items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", rest), package


def test_locks_hold_the_tested_versions_and_what_builds_the_package():
    packages = {name: version for name, (version, _) in locked(*LOCKS).items()}
    wanted = read("requirements.txt") | read("requirements-dev.txt")
    assert {name: packages[name] for name in wanted} == wanted
    constraints = read("constraints.txt")
    assert {n: v for n, v in packages.items() if constraints.get(n, v) != v} == {}
    assert "setuptools" in locked("lock.txt") and "torch" in locked("lock-torch.txt")
    assert not locked("lock.txt").keys() & locked("lock-torch.txt").keys()


def imports(*folders: str) -> set[str]:
    """Packages that the sources in some folders import, beside the standard library and ours."""
    ours = {
        path.stem
        for name in ("tests", "benchmarks")
        for path in Path(REPOSITORY, name).rglob("*.py")
    }
    ours |= {"caploc", "snakemake_logger_plugin_caploc"}
    found: set[str] = set()
    for path in (path for name in folders for path in Path(REPOSITORY, name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    tops = {name.partition(".")[0] for name in found} - ours - set(sys.stdlib_module_names)
    named = packages_distributions()
    return {re.sub("[-_.]+", "-", named[top][0]).lower() for top in tops}


def test_what_is_imported_is_declared_and_the_other_way_round():
    required = read("requirements.txt").keys()
    assert imports("workflow") == required
    assert (
        imports("tests", "benchmarks", "examples") <= required | read("requirements-dev.txt").keys()
    )

"""Which module may import which: arrows point to lower layers, and into no other room's drawers."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml
from workflow_copy import REPOSITORY, copy_repository

import caploc
from caploc import plugins
from caploc.jobs.digests import imported_modules

ROOT = Path(caploc.__file__).parent
# A module imports from its own folder and from what stands before it.
ORDER = (
    "discretion", "records", "shipped", "configfiles", "settings", "plugins", "locator_settings",
    "catalogues", "config", "config_table", "measures",
    "files", "jobs", "samples", "models", "forward", "attribution", "locating", "locators",
    "interventions", "api", "tasks", "facts", "training", "report", "estimate", "stages",
    "experiments", "commands", "cli",
)  # fmt: skip
ENGINE = ("models", "attribution", "locators", "interventions")
LOADS_MODELS = {"torch", "transformers", "datasets", "pandas", "altair"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("caploc", *(parts if parts[-1] != "__init__" else parts[:-1])))


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def imported(module: str, *, lazy: bool = True) -> frozenset[tuple[str, str]]:
    """(module, name in it) that a module imports; without `lazy` only those outside functions.

    The name is empty where the module itself is imported.
    """
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    inside = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if node in inside and not lazy:
            continue
        if isinstance(node, ast.Import):
            found.update((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add((full, "") if full in MODULES else (str(node.module), alias.name))
    return frozenset(found)


def ours(module: str) -> list[tuple[str, str]]:
    """What a module imports from this library."""
    return sorted(found for found in imported(module) if found[0].split(".")[0] == "caploc")


def third_party(module: str, *, lazy: bool = True) -> set[str]:
    """Packages beside the standard library that importing a module brings in, directly or not."""
    found, todo, seen = set(), [module], set()
    while todo:
        current = todo.pop()
        seen.add(current)
        for name, _ in imported(current, lazy=lazy):
            top = name.partition(".")[0]
            if name in MODULES:
                todo += [name] if name not in seen else []
            elif top != "caploc" and top not in sys.stdlib_module_names:
                found.add(top)
    return found


def unit(module: str) -> str:
    return [*module.split("."), ""][1]


def folder(module: str) -> str:
    """The package that a module lies in; a package lies in itself."""
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def below(name: str) -> tuple[str, ...]:
    return ORDER[: ORDER.index(name)] if name in ORDER else ORDER


def in_units(*units: str) -> list[str]:
    return [module for module in MODULES if unit(module) in units]


def test_every_unit_has_its_place():
    assert {unit(module) for module in MODULES} - {""} <= set(ORDER)


def test_imports_go_to_lower_layers():
    wrong = {
        f"{module} imports {name}"
        for module in MODULES
        for name, _ in ours(module)
        if unit(name) not in (unit(module), *below(unit(module)))
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_no_module_imports_itself_on_some_way():
    """Lazy imports count; a package counts where it says something itself."""
    graph = {module: {name for name, _ in ours(module)} - {module} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_what_begins_with_an_underscore_is_used_in_its_own_folder():
    """Modules by any way of importing them, and names of any module."""
    wrong = [
        f"{module} uses {name}{'.' if item else ''}{item}"
        for module in MODULES
        for name, item in ours(module)
        if item.startswith("_")
        or (name.rpartition(".")[2].startswith("_") and folder(name) != folder(module))
    ]
    assert not wrong, "\n".join(wrong)


def test_an_experiment_is_found_by_its_place():
    """Nobody outside its folder names it, but other experiments what its jobs make."""

    def experiment(module: str) -> str:
        return ".".join(module.split(".")[:3]) if unit(module) == "experiments" else ""

    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        for name, _ in ours(module)
        if experiment(name).count(".") == 2
        and experiment(name) != experiment(module)
        and not (experiment(module) and name == f"{experiment(name)}.jobs")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", [m for m in MODULES if m != "caploc"])
def test_the_lazy_exports_are_for_people(module):
    """`from caploc import outliers` would hide a module from the code digest."""
    assert "caploc" not in {name for name, _ in imported(module)}


def test_a_dry_run_loads_no_library_of_numbers(tmp_path):
    """They cost more than all the rest; Snakemake would import pandas to look at parameters."""
    copy_repository(tmp_path / "copy")
    code = (
        "import sys; from snakemake.cli import main\n"
        "try: main(['--dry-run', '--quiet'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "names = ('torch', 'transformers', 'polars', 'pyarrow', 'pandas')\n"
        "print('heavy:', *(name for name in names if sys.modules.get(name)))"
    )
    assert run(code, cwd=tmp_path / "copy").splitlines()[-1] == "heavy:"


@pytest.mark.parametrize("module", ["caploc.records", "caploc.settings", "caploc.plugins"])
def test_what_everything_stands_on_needs_the_standard_library_alone(module):
    assert third_party(module) == set()


def test_the_config_needs_only_its_schema():
    assert third_party("caploc.config") == {"jsonschema", "yaml"}


@pytest.mark.parametrize("module", in_units(*ENGINE))
def test_the_engine_imports_with_torch_transformers_and_numpy_alone(module):
    # These come with transformers.
    carried = {"huggingface_hub", "safetensors", "tokenizers"}
    assert third_party(module, lazy=False) <= {"torch", "transformers", "numpy"} | carried


@pytest.mark.parametrize("module", in_units("measures"))
def test_measures_need_no_files_and_no_torch(module):
    assert third_party(module) <= {"numpy", "polars"}
    assert "caploc.files" not in {".".join(name.split(".")[:2]) for name, _ in ours(module)}


def number_stages() -> list[str]:
    """Stages that the Slurm profile gathers in groups: minutes of numbers, no model."""
    profile = yaml.safe_load((REPOSITORY / "profiles/slurm/profile.yaml").read_text())
    numbers = profile["groups"].keys() - {"write_report", "write_known_answer"}
    rules = "".join(p.read_text() for p in (REPOSITORY / "workflow/rules").glob("*.smk"))
    ran = re.findall(r'^rule (\w+):.*?command\("(\w+)"\)', rules, re.DOTALL | re.MULTILINE)
    return sorted({plugins.stages()[stage] for rule, stage in ran if rule in numbers})


@pytest.mark.parametrize("module", [*number_stages(), "caploc.commands.plan",
                                    "caploc.commands.compare"])  # fmt: skip
def test_what_handles_numbers_starts_fast(module):
    # A plan reads the size of a user's own model, and rows of the hub, where it needs them.
    lazy = module != "caploc.commands.plan"
    assert not third_party(module, lazy=lazy) & LOADS_MODELS


def test_a_process_of_numbers_loads_nothing_heavy():
    """The same at run time, for what other packages might bring in."""
    code = f"import sys, {', '.join(number_stages())}; "
    assert run(code + f"print(*sorted({LOADS_MODELS!r} & set(sys.modules)))") == ""


def test_importing_the_package_loads_nothing():
    code = "import sys; before = set(sys.modules); import caploc; caploc.__version__; "
    code += "print(*{'numpy', 'pyarrow', 'torch'} & (set(sys.modules) - before))"
    assert run(code) == ""


def run(code: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd
    )
    return done.stdout.strip()


def test_the_reader_of_imports_sees_what_the_digest_follows():
    """Two independent readings of the same files agree on a stage with lazy and plain imports."""
    start = plugins.stages()["measure_agreement"]
    found, todo = set(), [start]
    while todo:
        module = todo.pop()
        found.add(module)
        todo += [n for n, _ in imported(module) if n in MODULES and n not in found]
    packages = {m for m, path in MODULES.items() if path.name == "__init__.py"}
    assert found - packages == imported_modules(start) - packages


def test_every_rule_has_a_stage_and_every_stage_a_rule():
    rules = "".join(p.read_text() for p in (REPOSITORY / "workflow/rules").glob("*.smk"))
    assert set(re.findall(r"command\(\"(\w+)\"\)", rules)) == plugins.stages().keys()

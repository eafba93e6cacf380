"""Which module may import which: arrows point to lower layers only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import caploc
from caploc.jobs.digests import imported_modules

ROOT = Path(caploc.__file__).parent
# A folder or module imports from itself and from lines above its own.
ORDER = (
    {"records", "atomic", "syntax"},
    {"store", "provenance", "plugins", "exclusive"},
    {"config", "plan", "receipts", "unfinished"},
    {"verification", "reuse"},
    {"statistics", "masks", "agreement", "aggregation", "shards"},
    {
        "scores",
        "effects",
        "crossing",
        "located",
        "fidelity",
        "decoupling",
        "reliability",
        "budgets",
    },
    {"models", "tasks"},
    {"facts"},
    {"training"},
    {"attribution"},
    {"locators"},
    {"interventions"},
    {"evaluation"},
    {"candidates"},
    {"planting"},
    {"estimate"},
    {"report", "comparison"},
    {"stages"},
    {"commands"},
    {"cli"},
)
RANK = {unit: rank for rank, units in enumerate(ORDER) for unit in units}
NUMBERS = (
    "statistics",
    "effects",
    "crossing",
    "masks",
    "agreement",
    "aggregation",
    "shards",
    "scores",
    "located",
    "fidelity",
    "decoupling",
    "reliability",
    "budgets",
)
NUMBER_STAGES = (
    "aggregate_scores",
    "aggregate_mixture",
    "build_mask",
    "measure_agreement",
    "measure_overlap",
    "tabulate_agreement",
    "tabulate_neurons",
    "tabulate_base",
    "tabulate_samples",
    "tabulate_completeness",
    "tabulate_enhancement",
    "measure_fidelity",
    "measure_kn_on_tasks",
    "tabulate_fidelity",
    "tabulate_tracing",
    "tabulate_erasure",
    "tabulate_cross_erasure",
    "tabulate_cross_overlap",
    "measure_reliability",
    "measure_ablation",
    "tabulate_reliability",
    "measure_decoupling",
    "tabulate_decoupling",
    "rank_plant",
    "tabulate_known_answer",
)
ENGINE = ("models", "attribution", "locators", "interventions")
HEAVY = {"torch", "transformers", "polars", "datasets", "pandas", "altair"}


def module_name(path: Path) -> str:
    return ".".join(("caploc", *path.relative_to(ROOT).with_suffix("").parts))


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(module: str, *, lazy: bool = True) -> set[str]:
    """Dotted names that a module imports; without `lazy` only those outside functions."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    inside = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in inside and not lazy:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(name if name in MODULES else str(node.module) for name in names)
    return found


def third_party(module: str, *, lazy: bool = True) -> set[str]:
    """Packages beside the standard library that importing a module brings in, directly or not."""
    found, todo, seen = set(), [module], set()
    while todo:
        current = todo.pop()
        seen.add(current)
        for name in imports(current, lazy=lazy):
            top = name.partition(".")[0]
            if name in MODULES:
                todo += [name] if name not in seen else []
            elif top != "caploc" and top not in sys.stdlib_module_names:
                found.add(top)
    return found


def unit(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("module", [m for m in MODULES if m != "caploc.__init__"])
def test_imports_go_to_lower_layers(module):
    assert unit(module) in RANK, f"give {unit(module)!r} its place in ORDER"
    for name in imports(module):
        if name.startswith("caploc."):
            assert unit(name) == unit(module) or RANK[unit(name)] < RANK[unit(module)], (
                f"{module} imports {name}"
            )


@pytest.mark.parametrize("module", [m for m in MODULES if m != "caploc.__init__"])
def test_the_lazy_exports_are_for_people(module):
    """`from caploc import outliers` would hide a module from the code digest."""
    assert "caploc" not in imports(module)


@pytest.mark.parametrize(
    "module", ["records", "provenance", "plugins", "syntax", "plan.__init__", "plan.spine"]
)
def test_the_snakefile_reads_the_standard_library_alone(module):
    assert third_party(f"caploc.{module}") == set()


def test_the_config_needs_only_its_schema():
    assert third_party("caploc.config") == {"jsonschema", "yaml"}


@pytest.mark.parametrize("module", [m for m in MODULES if unit(m) in ENGINE])
def test_the_engine_imports_with_torch_transformers_and_numpy_alone(module):
    # These come with transformers.
    carried = {"huggingface_hub", "safetensors", "tokenizers"}
    assert third_party(module, lazy=False) <= {"torch", "transformers", "numpy"} | carried


@pytest.mark.parametrize("module", NUMBERS)
def test_numbers_need_numpy_and_pyarrow_alone(module):
    assert third_party(f"caploc.{module}") <= {"numpy", "pyarrow"}


@pytest.mark.parametrize("stage", NUMBER_STAGES)
def test_stages_for_numbers_start_fast(stage):
    assert not third_party(f"caploc.stages.{stage}") & HEAVY


@pytest.mark.parametrize("command", ["plan", "compare"])
def test_commands_about_runs_start_fast(command):
    assert not third_party(f"caploc.commands.{command}") & HEAVY


def test_a_process_of_numbers_loads_nothing_heavy():
    """The same at run time, for what other packages might bring in."""
    names = ", ".join(f"caploc.stages.{stage}" for stage in NUMBER_STAGES)
    code = f"import sys, {names}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    assert run(code) == ""


def test_importing_the_package_loads_nothing():
    code = "import sys; before = set(sys.modules); import caploc; caploc.__version__; "
    code += "print(*{'numpy', 'pyarrow', 'torch'} & (set(sys.modules) - before))"
    assert run(code) == ""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_reader_of_imports_sees_what_the_digest_follows():
    """Two independent readings of the same files agree on a stage with lazy and plain imports."""
    found, todo = set(), ["caploc.experiments.agreement.measure_agreement"]
    while todo:
        module = todo.pop()
        found.add(module)
        todo += [n for n in imports(module) if n in MODULES and n not in found]
    assert found == imported_modules("caploc.experiments.agreement.measure_agreement")

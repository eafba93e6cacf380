"""Plug-ins are the public modules of a folder."""

import subprocess
import sys

import pytest

from caploc import plugins
from caploc.records import DataError

KINDS = ("tasks", "facts", "families", "locators", "commands")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package with one kind of plug-ins, in place of our own."""
    for name in ("zebra", "_shared", "__init__", "ant"):
        (tmp_path / "animals").mkdir(exist_ok=True)
        (tmp_path / "animals" / f"{name}.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "animals" / "notes.txt").write_text("")
    monkeypatch.setattr(plugins, "__file__", str(tmp_path / "plugins.py"))


def test_public_modules_sorted_without_importing_them(folder):
    assert plugins.names("animals") == ["ant", "zebra"]
    assert plugins.module_name("animals", "ant") == "caploc.animals.ant"


def test_an_unknown_name_lists_the_choices(folder):
    for call in (plugins.module_name, plugins.load):
        with pytest.raises(DataError, match="unknown animals plug-in 'ape'; available: ant, zebra"):
            call("animals", "ape")


@pytest.mark.parametrize("name", ["_shared", "__init__", "../records", "", "ant.py"])
def test_what_is_no_plugin_cannot_be_loaded(folder, name):
    with pytest.raises(DataError, match="unknown animals plug-in"):
        plugins.load("animals", name)


def test_a_kind_without_a_folder_has_no_choices():
    assert plugins.names("absent") == []


def test_a_plugin_is_its_module():
    assert plugins.load("locators", "cnl").__name__ == "caploc.locators.cnl"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_choices(kind):
    assert plugins.names(kind)


def test_every_public_module_of_an_experiment_is_a_stage_or_a_part():
    """From the text: importing all of them would load torch."""
    assert set(plugins.experiments()) >= {"agreement", "erasure", "known_answer"}
    for name, module in plugins.stages().items():
        path = plugins.Path(plugins.__file__).parents[1] / f"{module.replace('.', '/')}.py"
        assert "\ndef run(job: Job) -> None:\n" in path.read_text(), name


def test_listing_loads_no_plugin():
    code = "import sys; from caploc import plugins; before = set(sys.modules); "
    code += f"[plugins.names(kind) for kind in {KINDS!r}]; plugins.stages(); "
    code += "print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_literals_of_a_plug_in_are_known_without_importing_it(folder, tmp_path):
    text = "raise RuntimeError('imported')\nTITLE = 'Ant'\nLEGS = {'six': 6}\nMADE = TITLE + '!'\n"
    (tmp_path / "animals" / "bee.py").write_text(text)
    assert plugins.constants("animals", "bee") == {"TITLE": "Ant", "LEGS": {"six": 6}}
    assert plugins.constants("animals", "ape") == {}

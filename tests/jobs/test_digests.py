"""Digests change when behaviour can change, and only then."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from caploc.jobs import digests
from caploc.jobs._memory import memory
from caploc.jobs.digests import (
    canonical_json,
    code_digest,
    content_digest,
    file_digest,
    imported_modules,
    weights_digest,
)
from caploc.jobs.job import Job
from caploc.records import DataError

FILES = {
    "__init__.py": '"""Top."""\n',
    "leaf.py": '"""Leaf."""\n\ndef double(x: int) -> int:\n    """Twice."""\n    return 2 * x\n',
    "middle.py": "from caploc.leaf import double\n\ndef four(x):\n    return double(double(x))\n",
    "other.py": "VALUE = 1\n",
    "folder/__init__.py": '"""Folder."""\n',
    "folder/stage.py": "from caploc import middle\n\ndef run(job):\n    return middle.four(1)\n",
    "folder/lazy.py": "def run(job):\n    import caploc.leaf\n    return caploc.leaf.double(1)\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in place of our own, whose files can be edited."""
    monkeypatch.setattr(digests, "_ROOT", tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    clear()
    yield tmp_path
    clear()


def clear():
    for remembered in ("_sources", "_facts", "_imports", "_modules_hash"):
        getattr(digests, remembered).cache_clear()


def digest_after(package: Path, name: str, text: str, module: str = "caploc.folder.stage") -> str:
    before = (package / name).read_text()
    (package / name).write_text(text)
    clear()
    found = code_digest(module)
    (package / name).write_text(before)
    clear()
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Twice."""', '"""Two times."""'),
        ('    """Twice."""\n', ""),
        ('"""Leaf."""\n', ""),
        ("    return 2", "    # why\n\n\n    return  2"),
        ("return 2 * x", "return (2 * x)  # brackets"),
        ("return 2 * x", "return (\n        2\n        * x\n    )"),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(package, old, new):
    assert old in FILES["leaf.py"]
    text = FILES["leaf.py"].replace(old, new)
    assert digest_after(package, "leaf.py", text) == code_digest("caploc.folder.stage")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * x", "3 * x"),
        ("2 * x", "2.0 * x"),
        ("2 * x", "x * 2"),
        ("2 * x", "2 + x"),
        ("return 2 * x", "2 * x"),
        ("x: int", "x: float"),
        ("def double", "@staticmethod\ndef double"),
        ("return", "yield"),
        ('    return 2 * x', '    return "doc"'),
    ],
)  # fmt: skip
def test_an_edit_of_code_two_imports_away_changes_the_digest(package, old, new):
    assert old in FILES["leaf.py"]
    text = FILES["leaf.py"].replace(old, new)
    assert digest_after(package, "leaf.py", text) != code_digest("caploc.folder.stage")


def test_a_text_that_is_no_docstring_counts(package):
    for text in ('A = 1\n"""x"""\n', 'def f():\n    a = "x"\n', 'def f(a="x"):\n    pass\n'):
        first = digest_after(package, "leaf.py", text)
        assert first != digest_after(package, "leaf.py", text.replace("x", "y"))


def test_an_unrelated_module_changes_nothing(package):
    before = code_digest("caploc.folder.stage")
    assert digest_after(package, "other.py", "VALUE = 2\n") == before
    assert digest_after(package, "folder/lazy.py", "VALUE = 2\n") == before
    (package / "folder" / "new_plugin.py").write_text("VALUE = 3\n")
    clear()
    assert code_digest("caploc.folder.stage") == before


def test_imports_are_followed_in_every_form(package):
    assert imported_modules("caploc.folder.stage") == {
        "caploc.folder.stage", "caploc.middle", "caploc.leaf",
    }  # fmt: skip
    assert imported_modules("caploc.folder.lazy") == {"caploc.folder.lazy", "caploc.leaf"}


def test_named_plugins_count_and_order_does_not(package):
    one = code_digest("caploc.folder.stage", "caploc.other")
    assert one == code_digest("caploc.other", "caploc.folder.stage")
    assert one != code_digest("caploc.folder.stage")
    assert len(one) == 16
    assert int(one, 16) >= 0


def test_a_moved_line_of_code_between_modules_counts(package):
    """Equal code under another name is another program: the names stand in the digest."""
    (package / "twin.py").write_text(FILES["other.py"])
    assert code_digest("caploc.twin") != code_digest("caploc.other")


def test_a_module_that_is_not_there_is_named(package):
    with pytest.raises(ValueError, match=r"no module 'caploc\.absent'"):
        code_digest("caploc.absent")


def test_cyclic_imports_end(package):
    (package / "leaf.py").write_text("import caploc.middle\n")
    clear()
    assert "caploc.leaf" in imported_modules("caploc.middle")


# A digest written down: it must be the same on every machine and Python version.
EXAMPLE = '''"""Doc."""
import os
from dataclasses import dataclass

@dataclass(frozen=True)
class A:
    """Doc."""
    x: int | None = None

def f(a, /, b=1, *c, d: str = "e", **g) -> None:
    """Doc."""
    match a:
        case [1, *rest] if rest:
            return None
        case {"k": v}:
            return
    with open(os.devnull) as h, open("x"):
        lambda: (yield)
    return f"{a!r:>{b}} {{}}" f"{1 if b else -2.5e3}", {**g, 1: ...}, [i async for i in c]
'''


def test_the_digest_is_the_same_everywhere(package):
    (package / "example.py").write_text(EXAMPLE)
    clear()
    assert code_digest("caploc.example") == "f37fd9473134b90e"


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_other_pythons_give_the_same_digests(version):
    python = shutil.which(f"python{version}")
    # Version managers leave a command that only says how to choose a version.
    if python is None or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"no python{version} on this machine")
    code = "from caploc.jobs.digests import code_digest as f; print(f('caploc.stages.build_mask'))"
    folder = Path(digests.__file__).parents[2]
    done = subprocess.run([python, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.stdout.strip() == code_digest("caploc.stages.build_mask"), done.stderr


def test_canonical_json_ignores_the_order_of_keys_and_nothing_else():
    assert canonical_json({"b": [1, 2], "a": None}) == '{"a":null,"b":[1,2]}'
    assert canonical_json({"a": 1}) == canonical_json(dict([("a", 1)]))
    assert canonical_json([1, 2]) != canonical_json([2, 1])
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


def test_file_digest_is_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(tmp_path / "f") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_an_input_that_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="/absent: no such file"):
        Job("s", {}, "", {"one": [tmp_path / "absent"]}, {}).origin()


def test_a_job_tells_its_origin(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    job = Job("s", {"x": 1}, "c0de", {"one": [tmp_path / "a"], "two": [tmp_path / "b"] * 2}, {}, 4)
    origin = job.origin()
    assert (origin["stage"], origin["spec"], origin["code"]) == ("s", {"x": 1}, "c0de")
    assert origin["inputs"]["two"] == [file_digest(tmp_path / "b")] * 2
    assert "threads" not in origin
    assert job.input("one") == tmp_path / "a"
    with pytest.raises(ValueError, match="too many values"):
        job.input("two")


def test_python_of_the_tests_is_supported():
    assert sys.version_info[:2] >= (3, 11)


def test_a_model_is_known_by_its_weight_files_alone():
    files = {"model-1.safetensors": "aa", "model-2.safetensors": "bb", "config.json": "cc"}
    found = weights_digest(files)
    assert found == weights_digest(dict(reversed(files.items())) | {"config.json": "dd"})
    assert found != weights_digest(files | {"model-2.safetensors": "bc"})
    assert found != weights_digest({"model-1.safetensors": "bb", "model-2.safetensors": "aa"})
    with pytest.raises(DataError, match=r"no weight file among \['config.json'\]; expected"):
        weights_digest({"config.json": "cc"})


def test_the_content_of_what_a_user_edits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    memory.cache_clear()
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "deep" / "b").write_text("2")
    file, flat, deep = (
        content_digest(folder / "a"), content_digest(folder), content_digest(folder, deep=True)
    )  # fmt: skip
    assert len({file, flat, deep}) == 3
    assert content_digest(folder / "none") == content_digest(folder / "none", deep=True) == ""
    # A copy with other times is the same; other content or another name is not.
    shutil.copytree(folder, tmp_path / "copy")
    assert content_digest(tmp_path / "copy", deep=True) == deep
    (tmp_path / "copy" / "deep" / "b").write_text("3")
    assert content_digest(tmp_path / "copy") == flat
    assert content_digest(tmp_path / "copy", deep=True) != deep
    os.rename(folder / "a", folder / "c")
    assert content_digest(folder) != flat and content_digest(folder / "c") == file


def test_large_files_are_read_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memory.cache_clear()
    (tmp_path / "a").write_text("1")
    first = content_digest(tmp_path / "a")
    monkeypatch.setattr(digests, "file_digest", lambda path: pytest.fail("read again"))
    assert content_digest(tmp_path / "a") == first

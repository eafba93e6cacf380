"""What was remembered between calls is used for equal bytes and never for others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import caploc

CALL = """
import ast, sys
from pathlib import Path
from caploc.jobs import _syntax as syntax
parsed = []
parse = ast.parse
ast.parse = lambda *a, **k: parsed.append(1) or parse(*a, **k)
source = syntax.read_source(Path("example.py"))
print(len(parsed), source.digest, *sorted(source.imports))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / "example.py").write_text("import os\nfrom caploc.a import b\nX = 1\n")
    return tmp_path


def read(folder: Path) -> tuple[int, str, list[str]]:
    """In a process of its own: number of parsed files, digest, imports."""
    done = subprocess.run(
        [sys.executable, "-c", CALL], cwd=folder, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(Path(caploc.__file__).parents[1])},
    )  # fmt: skip
    n_parsed, digest, *imports = done.stdout.split()
    return int(n_parsed), digest, imports


def test_a_known_file_is_not_parsed_again(folder):
    first, again = read(folder), read(folder)
    assert first == (1, first[1], ["caploc.a", "caploc.a.b", "os"])
    assert again == (0, *first[1:])


def test_an_edited_file_is_read_anew_whatever_its_time(folder):
    before = read(folder)
    path = folder / "example.py"
    status = path.stat()
    path.write_text("import os\nfrom caploc.a import b\nX = 2\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = read(folder)
    assert after[0] == 1
    assert after[1] != before[1]


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_damaged_memory_is_ignored_and_replaced(folder, content):
    wanted = read(folder)
    memory = folder / ".snakemake/caploc-sources.json"
    memory.write_text(content)
    assert read(folder) == wanted
    assert len(json.loads(memory.read_text())) == 1
    assert read(folder)[0] == 0


def test_without_the_folder_of_snakemake_nothing_is_written(folder):
    (folder / ".snakemake").rmdir()
    assert read(folder)[0] == 1
    assert sorted(p.name for p in folder.iterdir()) == ["example.py"]

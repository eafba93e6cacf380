"""Every command of README and docs is run by a test, or its last run is in the repository."""

import json
import re
import shlex
from pathlib import Path

import documented
import pytest
from tried_commands import LAST_RUN, TESTED, TYPED

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = documented.pages()
OPERATIONS = "docs/operations.md"
FOUND = {
    command for name, text in PAGES.items() if name != OPERATIONS
    for command in documented.commands(text)
}  # fmt: skip
SUITE = {command for command in FOUND if " -m pytest " in command}


def test_every_command_stands_in_exactly_one_list():
    lists = [TESTED.keys(), TYPED.keys(), LAST_RUN.keys(), SUITE]
    known = [command for one in lists for command in one]
    assert not FOUND - set(known), "say in tests/faults/tried_commands.py how these are tried"
    assert not set(known) - FOUND, "these are in no page any more"
    assert len(known) == len(set(known))


def test_commands_of_operations_are_run_by_its_tests():
    """`test_operations.py` asserts that each of these sections has a test that types them."""
    typed = [c for section in documented.SECTIONS.values() for c in section.commands]
    inline = {c for c in documented.commands(PAGES[OPERATIONS]) if c not in typed}
    assert inline <= TYPED.keys() | TESTED.keys()
    assert typed


def test_no_other_kind_of_block_holds_commands():
    known = {"sh", "python", "yaml", "json", "text", "diff", "jinja", ""}
    kinds = {k for text in PAGES.values() for k in re.findall(r"^```(\w+)$", text, flags=re.M)}
    assert kinds <= known


@pytest.mark.parametrize("where", sorted(set(TESTED.values())))
def test_the_named_tests_exist(where):
    file, name = where.split("::")
    text = (REPOSITORY / file).read_text()
    pattern = rf"^{name}:" if file == "Makefile" else rf"^def {name}\("
    assert re.search(pattern, text, flags=re.M), where


@pytest.mark.parametrize("command", sorted(SUITE))
def test_the_tests_that_a_page_tells_to_run_exist(command):
    *_, paths = command.partition(" -m pytest ")
    for path in shlex.split(paths):
        assert (REPOSITORY / path).exists(), path


@pytest.mark.parametrize("command", sorted(LAST_RUN))
def test_last_runs_are_committed(command):
    why, file = LAST_RUN[command]
    assert why in ("long", "network", "GPU")
    record = json.loads((REPOSITORY / file).read_text())
    assert record["command"]
    if why == "network":
        assert record["runs"][command]["status"] == 0


def test_commands_are_read_as_a_shell_reads_them():
    block = "```sh\nls  # all\ncat a \\\n  b\necho 'x\ny' z\n```\n"
    text = f"a `make demo now` b `make`\n{block}`caploc x\ny`"
    assert documented.commands(text) == ["cat a b", "echo 'x\ny' z", "make demo now"]

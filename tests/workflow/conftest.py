"""The workflow, run once on the small config for all tests here."""

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from workflow_copy import REPOSITORY, Workflow, copy_repository, copy_with_results


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The small run, finished; tests must leave it as they found it."""
    workflow = copy_repository(tmp_path_factory.mktemp("run") / "caploc")
    workflow.run()
    return workflow


@pytest.fixture
def copy_of_finished(finished, tmp_path) -> Workflow:
    """A copy of the finished run, to edit."""
    return copy_with_results(finished, tmp_path / "caploc")


@pytest.fixture(scope="session")
def fresh(tmp_path_factory) -> Workflow:
    """A copy in which nothing has run."""
    return copy_repository(tmp_path_factory.mktemp("fresh") / "caploc")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real records and models beside the checkout."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the folder ../shared with real records and models is not there")
    return folder


@pytest.fixture
def snapshot() -> Callable[[str, str], None]:
    """Compare a text with the one that is kept; `make snapshot` keeps it."""

    def compare(name: str, found: str) -> None:
        path = Path(__file__).parent / f"golden/{name}.txt"
        if os.environ.get("SNAPSHOT") == "write":
            path.write_text(found)
        kept = path.read_text()
        changes = [
            line
            for line in difflib.unified_diff(
                kept.splitlines(), found.splitlines(), n=0, lineterm=""
            )
            if not line.startswith(("---", "+++", "@@"))
        ]
        assert not changes, "\n".join(
            [f"{path.name} is no longer true; if that is meant: make snapshot", *changes]
        )

    return compare

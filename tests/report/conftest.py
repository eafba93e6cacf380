"""One page of the invented run, written once, and its tables as text."""

from pathlib import Path

import example_run
import pytest
from page_reader import Reader

from caploc.jobs.job import Job
from caploc.report.inputs import Inputs, read_inputs
from caploc.report.page import render
from caploc.report.views import View, views


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return example_run.write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def inputs(job: Job) -> Inputs:
    return read_inputs(job)


@pytest.fixture(scope="session")
def view(inputs: Inputs) -> View:
    (found,) = views(inputs)
    return found


@pytest.fixture(scope="session")
def html(inputs: Inputs) -> str:
    return render(inputs)


@pytest.fixture(scope="session")
def page(html: str) -> Reader:
    return Reader(html)


@pytest.fixture
def changed(tmp_path: Path):
    """A page of a run with other tables or settings: ``changed(tables=..., **settings)``."""

    def write(tables=None, **settings) -> tuple[View, Reader, str]:
        found = read_inputs(example_run.write_run(tmp_path, settings, tables))
        text = render(found)
        return views(found)[0], Reader(text), text

    return write

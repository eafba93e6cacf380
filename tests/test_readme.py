"""What README shows is true of the files: settings, targets, names."""

import re
import tomllib
from pathlib import Path

import documented
import yaml
from configs import merged

import caploc
from caploc.config import check

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()


def test_the_example_settings_are_valid():
    """They are run too, by tests/workflow/test_newcomer.py."""
    pages = README + (REPOSITORY / "docs/own-runs.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", pages, flags=re.S)
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    tasks = [check(merged(config, yaml.safe_load(e)))["run"]["tasks"] for e in examples]
    assert tasks == [["questions"], ["questions", "gsm8k"]]


def test_every_command_names_a_target_that_exists():
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, flags=re.M):
        assert re.search(rf"^{target}:", makefile, flags=re.M)
    rules = "".join(p.read_text() for p in (REPOSITORY / "workflow/rules").glob("*.smk"))
    rules += (REPOSITORY / "Snakefile").read_text()
    targets = re.findall(r"snakemake --cores \w+ (?:--forcerun )?([a-z_]+)`", README)
    assert targets
    for target in targets:
        assert f"rule {target}:" in rules


def test_readme_fits_a_few_screens():
    assert len(README.splitlines()) <= 145


def test_every_exported_name_can_be_imported():
    for name in caploc.__all__:
        assert getattr(caploc, name) is not None


def test_files_named_exist():
    """In README and all pages, but for what a page tells to write: `file`: and a block."""
    missing = {
        path
        for text in documented.pages().values()
        for path in re.findall(r"`((?:workflow|envs|benchmarks|tests|config|docs)/[\w/.-]*)`", text)
        if f"`{path}`:" not in text and not (REPOSITORY / path).exists()
    }
    assert not missing


def test_every_page_of_docs_is_in_the_index():
    _, _, index = README.partition("## More to read\n")
    index = index.partition("\n## ")[0]
    pages = {p.relative_to(REPOSITORY).as_posix() for p in (REPOSITORY / "docs").glob("*.md")}
    named = set(re.findall(r"\]\(([\w./-]+)\)", index))
    assert named == pages | {
        "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "config/README.md",
    }  # fmt: skip
    for text in (p.read_text() for p in [REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md")]):
        for path in re.findall(r"\]\(([\w.][\w./-]*)(?:#[\w-]+)?\)", text):
            assert any((REPOSITORY / start / path).exists() for start in ("", "docs")), path


def test_the_citation_names_this_version():
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert cited["version"] == project["version"]
    assert cited["preferred-citation"]["url"] in README
    changes = (REPOSITORY / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+)", changes, flags=re.M)[1] == project["version"]

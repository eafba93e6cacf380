"""docs/adding-a-task, -locator and -experiment: what they show, put into a copy and run."""

import re
import shutil
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
import yaml
from workflow_copy import REPOSITORY

from caploc.files.masks import read_mask

pytestmark = pytest.mark.workflow

PAGES = {
    name: (REPOSITORY / f"docs/adding-{name}.md").read_text()
    for name in ("a-task", "a-locator", "an-experiment")
}


def named_blocks(page, kind):
    """(file that the line in front names, text) of each block of a kind."""
    pattern = rf"^[^\n]*?`([\w./]+)`[^\n]*:\n\n```{kind}\n(.*?)^```$"
    return re.findall(pattern, PAGES[page], flags=re.M | re.S)


def merged(base, over):
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merged(base.get(key), value) for key, value in over.items()}


@pytest.fixture(scope="module")
def extended(tmp_path_factory, fresh):
    """A copy with the task, the locator and the experiment of the pages, run to its report."""
    folder = tmp_path_factory.mktemp("adding") / "caploc"
    shutil.copytree(fresh.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    config = yaml.safe_load((REPOSITORY / "tests/workflow/small.yaml").read_text())
    config["run"] |= {"name": "extended", "shard_size": 1000}
    config["models"]["tiny"]["train"]["mixture"] = {"days_ahead": 1}
    for page, text in PAGES.items():
        for name, content in named_blocks(page, "python"):
            assert not (folder / name).exists(), f"{name} is there already: choose another example"
            (folder / name).write_text(content)
        for name, content in named_blocks(page, "json"):
            (folder / name).write_text(content)
        for name, content in named_blocks(page, "diff"):
            for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", content, flags=re.M):
                _replace(folder / name, *(re.sub(r"(?m)^[-+]", "", t)[:-1] for t in (old, new)))
        for content in re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.M | re.S):
            config = merged(config, yaml.safe_load(content))
    (folder / "extended.yaml").write_text(yaml.safe_dump(config))
    workflow = type(fresh)(folder)
    workflow.run(config="extended.yaml")
    return folder / "results/extended"


def _replace(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new))


def test_every_block_of_the_pages_is_understood():
    kinds = {kind for text in PAGES.values() for kind in re.findall(r"^```(\w+)$", text, re.M)}
    assert kinds == {"python", "json", "diff", "yaml"}
    for page, text in PAGES.items():
        for kind in ("python", "json", "diff"):
            assert len(named_blocks(page, kind)) == text.count(f"```{kind}\n"), (page, kind)


def test_samples_of_the_new_tasks(extended):
    rows = [pl.read_parquet(p) for p in (extended / "samples/antonyms").glob("*.parquet")]
    samples = pl.concat([r for r in rows if len(r)])
    pairs = dict(zip(samples["prompt"], samples["answer"], strict=True))
    assert pairs == {
        f"The opposite of {word} is": f" {opposite}"
        for word, opposite in (
            ("cold", "warm"), ("early", "late"), ("full", "empty"), ("loud", "quiet"),
        )
    }  # fmt: skip
    dropped = pl.read_parquet(extended / "tables/samples.parquet").filter(
        metric="dropped", dataset="antonyms", reason="a word that is its own opposite"
    )
    assert dropped["value"].sum() == 1
    days = pl.read_parquet(extended / "samples/days/locate.parquet")
    assert len(days) == 24
    for prompt, answer in zip(days["prompt"], days["answer"], strict=True):
        day, ahead = re.fullmatch(r"Today is (\w+)\. In (\d+) days it is", prompt).groups()
        # 2 January 2023 was a Monday.
        start = next(
            d for d in (date(2023, 1, 2) + timedelta(i) for i in range(7)) if f"{d:%A}" == day
        )
        assert f" {start + timedelta(int(ahead)):%A}" == answer


def test_the_new_locator_scores_the_first_token(extended):
    for task in ("antonyms", "days"):
        table = pl.read_parquet(extended / f"attributions/tiny/{task}/first/shard-0000.parquet")
        assert set(table["n_answer_tokens"]) == {1}
        scores = np.array(table["scores"].to_list())
        assert np.isfinite(scores).all() and scores.any()


def test_the_new_locator_equals_cnl_on_answers_of_one_token(monkeypatch, save_model):
    from caploc.locators import cnl
    from caploc.models.loading import load_model
    from caploc.records import Sample

    ((_, text),) = named_blocks("a-locator", "python")
    namespace = {"__name__": "first_token"}
    exec(text, namespace)
    lm = load_model(save_model(), dtype="float64")
    long = Sample("0", "one two", " a b c")
    samples = [long, Sample("1", "one", " b"), Sample("2", " ".join("a" * 40), " b")]
    found = namespace["locate"](lm, samples, rule="left", steps=4, memory_mib=64)
    wanted = cnl.locate(lm, [Sample("0", "one two", " a"), *samples[1:]], rule="left", steps=4)
    for ours, theirs in zip(found[:2], wanted[:2], strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-9, atol=1e-15)
    assert str(found[2]) == str(wanted[2]) == "does not fit the context of 32 tokens"
    other = cnl.locate(lm, [long], rule="left", steps=4)[0].scores
    assert not np.allclose(found[0].scores, other)


def test_the_table_of_the_new_experiment(extended):
    table = pl.read_parquet(extended / "tables/layers.parquet")
    grid = read_mask(extended / "masks/tiny/days/first/s3.parquet")
    rows = table.filter(dataset="days").sort("layer")
    assert rows["value"].to_list() == [row.sum() / len(row) for row in grid]
    (few,) = table.filter(dataset="antonyms").to_dicts()
    assert (few["value"], few["interval"]) == (None, "not computed: n = 4, needs 20")
    assert (extended / "tables/layers.csv").is_file()


def test_the_report_names_the_new_tasks_and_the_table(extended):
    page = (extended / "report.html").read_text()
    for text in ("Antonyms", "Days ahead", "layers.parquet"):
        assert text in page

"""docs/adding-a-task, -locator and -experiment: what they show, put into a copy and run."""

import re
import shutil
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import yaml
from workflow_copy import REPOSITORY

from caploc.files.masks import read_mask

pytestmark = pytest.mark.workflow

PAGES = {
    name: (REPOSITORY / f"docs/adding-{name}.md").read_text()
    for name in ("a-task", "a-locator", "an-experiment")
}
FILES = ("python", "json", "jinja")


def named_blocks(page, kind):
    """(file that the line in front names, text) of each block of a kind."""
    pattern = rf"^[^\n]*?`([\w./]+)`[^\n]*:\n\n```{kind}\n(.*?)^```$"
    return re.findall(pattern, PAGES[page], flags=re.M | re.S)


def locator_of_the_page(name):
    """What the file of a locator defines."""
    files = dict(named_blocks("a-locator", "python"))
    namespace = {"__name__": name}
    exec(files[f"workflow/caploc/locators/{name}.py"], namespace)
    return namespace


def merged(base, over):
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merged(base.get(key), value) for key, value in over.items()}


@pytest.fixture(scope="module")
def extended(tmp_path_factory, fresh):
    """A copy with the tasks, locators and the experiment of the pages, run to its report."""
    folder = tmp_path_factory.mktemp("adding") / "caploc"
    shutil.copytree(fresh.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    config = yaml.safe_load((REPOSITORY / "tests/workflow/small.yaml").read_text())
    config["run"] |= {"name": "extended", "shard_size": 1000}
    config["models"]["tiny"]["train"]["mixture"] = {"days_ahead": 1, "facts": 1}
    config["facts"] = {"invented": {"n": 6}}
    own = {"facts": ["invented"], "minimum": 2, "n_draws": 2, "own_rewrites": False}
    config["experiments"] = {"fidelity": own}
    experiments = []
    for page, text in PAGES.items():
        for kind in FILES:
            for name, content in named_blocks(page, kind):
                path = folder / name
                assert not path.exists(), f"{name} is there already: choose another example"
                path.parent.mkdir(exist_ok=True)
                path.write_text(content)
        for content in re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.M | re.S):
            config = merged(config, yaml.safe_load(content))
            experiments += yaml.safe_load(content).get("run", {}).get("experiments", [])
    config["run"]["experiments"] = experiments
    (folder / "extended.yaml").write_text(yaml.safe_dump(config))
    workflow = type(fresh)(folder)
    workflow.run(config="extended.yaml")
    return folder / "results/extended"


def test_every_block_of_the_pages_is_understood():
    kinds = {kind for text in PAGES.values() for kind in re.findall(r"^```(\w+)$", text, re.M)}
    assert kinds == {*FILES, "yaml"}
    for page, text in PAGES.items():
        for kind in FILES:
            assert len(named_blocks(page, kind)) == text.count(f"```{kind}\n"), (page, kind)


def test_samples_of_the_new_tasks(extended):
    rows = [pl.read_parquet(p) for p in (extended / "samples/opposites").glob("*.parquet")]
    samples = pl.concat([r for r in rows if len(r)])
    pairs = dict(zip(samples["prompt"], samples["answer"], strict=True))
    assert pairs == {
        f"The opposite of {word} is": f" {opposite}"
        for word, opposite in (
            ("cold", "warm"), ("early", "late"), ("full", "empty"), ("loud", "quiet"),
        )
    }  # fmt: skip
    dropped = pl.read_parquet(extended / "tables/samples.parquet").filter(
        metric="dropped", dataset="opposites", reason="a word that is its own opposite"
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
    for task in ("opposites", "days"):
        table = pl.read_parquet(extended / f"attributions/tiny/{task}/first/shard-0000.parquet")
        assert set(table["n_answer_tokens"]) == {1}
        scores = np.array(table["scores"].to_list())
        assert np.isfinite(scores).all() and scores.any()


def test_scores_without_a_path_make_masks_and_no_completeness(extended):
    scores = extended / "attributions/tiny/days/slopes/shard-0000.parquet"
    assert pl.read_parquet(scores)["probability"].null_count() == 2 * 24
    assert read_mask(extended / "masks/tiny/days/slopes/s3.parquet").shape == (2, 32)
    table = pl.read_parquet(extended / "tables/completeness.parquet")
    assert set(table["method"]) == {"first"}
    agreement = pl.read_parquet(extended / "tables/agreement.parquet")
    assert set(agreement["method"]) == {"first", "slopes"}


def test_the_new_locator_equals_cnl_on_answers_of_one_token(save_model):
    from caploc.locators import cnl
    from caploc.models.loading import load_model
    from caploc.records import Sample

    namespace = locator_of_the_page("first_token")
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


def test_the_new_locator_of_facts_is_compared_like_the_others(extended):
    located = pl.read_parquet(extended / "located/tiny/invented/slopes/shard-0000.parquet")
    assert set(located["rule"]) == {"top 5"} and set(located["units"].list.len()) == {5}
    table = pl.read_parquet(extended / "tables/fidelity.parquet").filter(locator="slopes")
    assert set(table["unit"]) == {"ffn neuron"}
    overlap = table.filter(pl.col("metric") == "overlap", pl.col("value").is_not_null())
    assert {"rewrite", "random by layer"} <= set(overlap["comparison"])


def test_slopes_are_first_order_changes_of_the_log_probability(save_model):
    import torch

    from caploc.models.loading import load_model
    from caploc.records import Sample

    lm = load_model(save_model(), dtype="float64")
    (found,) = locator_of_the_page("slopes")["locate"](lm, [Sample("0", "one two", " a b")])

    def logprob(layer, j, scale):
        def scaled(module, args):
            x = args[0].clone()
            x[..., j] *= scale
            return (x,)

        ids = lm.tokenizer("one two")["input_ids"][:-1]
        gold = lm.tokenizer.convert_tokens_to_ids(["a", "b"])
        handle = lm.projections[layer].register_forward_pre_hook(scaled)
        with torch.no_grad():
            z = lm.model(input_ids=torch.tensor([ids + gold[:1]])).logits[0, len(ids) - 1 :]
        handle.remove()
        return torch.log_softmax(z.double(), -1)[torch.arange(2), gold].sum().item()

    for layer, j in ((0, 0), (1, 5), (2, 11)):
        slope = (logprob(layer, j, 1 + 1e-3) - logprob(layer, j, 1 - 1e-3)) / 2e-3
        assert found.scores[layer, j] == pytest.approx(slope, rel=5e-3, abs=1e-6)


def test_a_planted_model_is_scored_by_the_new_locators(monkeypatch, save_model, tmp_path, make_job):
    from caploc import plugins
    from caploc.experiments.known_answer import score_plant
    from caploc.files import store
    from caploc.models.loading import load_model

    modules = {
        name: SimpleNamespace(**locator_of_the_page(name)) for name in ("contrast", "slopes")
    }
    lm = load_model(save_model(), dtype="float32")
    monkeypatch.setattr(plugins, "load", lambda kind, name: modules[name])
    monkeypatch.setattr(score_plant, "model_of", lambda path, place: lm)
    texts = {"own": ["a b", "c d"], "x": ["e f g"], "y": ["h i"]}
    paths = {name: tmp_path / name for name in texts}
    for name, prompts in texts.items():
        rows = [{"sample_id": f"{name}{i}", "prompt": p, "answer": " a"}
                for i, p in enumerate(prompts)]  # fmt: skip
        store.write_table(pa.Table.from_pylist(rows), paths[name], {"origin": {}})
    spec = {
        "plant": "p", "seed": 0, "task": "own", "tasks": ["x", "y"], "neutral": False,
        "locators": {name: {"locator": name} for name in modules}, "samples": 5, "curve": [1],
    }  # fmt: skip
    inputs = {"manifest": [paths["own"]], "own": [paths["own"]], "others": [paths["x"], paths["y"]]}
    job = make_job("score_plant", spec, inputs, {"scores": tmp_path / "scores"})
    score_plant.run(job)
    table = pl.read_parquet(tmp_path / "scores").sort("layer")
    assert set(table.filter(locator="slopes")["n_samples"]) == {1, 2}
    (own, x, y) = (sizes(lm, prompts) for prompts in texts.values())
    found = np.array(table.filter(locator="contrast")["scores"].to_list())
    np.testing.assert_allclose(found, own - (x + y) / 2, rtol=1e-4, atol=1e-6)


def sizes(lm, prompts):
    """(layer, neuron) mean size over all positions of some prompts."""
    import torch

    seen = [[] for _ in lm.projections]
    handles = [
        p.register_forward_pre_hook(lambda m, a, k=k: seen[k].append(a[0][0].abs().double()))
        for k, p in enumerate(lm.projections)
    ]
    for prompt in prompts:
        with torch.no_grad():
            lm.model(input_ids=torch.tensor([lm.tokenizer(prompt)["input_ids"][:-1]]))
    for handle in handles:
        handle.remove()
    return np.stack([torch.cat(rows).mean(0).numpy() for rows in seen])


def test_the_table_of_the_new_experiment(extended):
    table = pl.read_parquet(extended / "tables/layers.parquet")
    grid = read_mask(extended / "masks/tiny/days/first/s3.parquet")
    table = table.filter(method="first")
    rows = table.filter(dataset="days", metric="located_share").sort("layer")
    assert rows["value"].to_list() == [row.sum() / len(row) for row in grid]
    (used,) = table.filter(dataset="days", metric="used_layers")["value"]
    assert used == sum(row.mean() >= 0.02 for row in grid)
    (few,) = table.filter(dataset="opposites").to_dicts()
    assert (few["value"], few["interval"]) == (None, "not computed: n = 4, needs 20")
    assert (extended / "tables/layers.csv").is_file()


def test_the_report_names_what_is_new(extended):
    page = (extended / "report.html").read_text()
    for text in ("Opposites", "Days ahead", "Slopes", "layers.parquet"):
        assert text in page


def test_the_report_holds_the_section_of_the_new_experiment(extended):
    page = (extended / "report.html").read_text()
    assert 'href="#layers"' in page
    section = page.partition('<section id="layers">')[2].partition("</section>")[0]
    grid = read_mask(extended / "masks/tiny/days/first/s3.parquet")
    for row in grid:
        assert f'<span class="value">{100 * row.mean():.1f}</span>' in section

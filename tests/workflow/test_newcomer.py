"""README, "Your model, your data", as a newcomer follows it: a model folder and three questions."""

import re
import shutil
import subprocess
import sys

import polars as pl
import pytest
import yaml
from workflow_copy import REPOSITORY, Workflow

from caploc.config import check
from caploc.files.masks import read_mask
from caploc.samples.splits import cut

pytestmark = pytest.mark.workflow

README = (REPOSITORY / "README.md").read_text()
SECTION = re.search(r"^## Your model, your data\n(.*?)^## ", README, flags=re.M | re.S)[1]
(LARGER,) = re.findall(
    r"^```yaml\n(.*?)^```$", (REPOSITORY / "docs/own-runs.md").read_text(), flags=re.M | re.S
)
FEW = "not computed: n = 3, needs 20"


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", SECTION, flags=re.M | re.S)


def save_model(folder):
    """A small random Llama that reads bytes, as `save_pretrained` writes it."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = {token: i for i, token in enumerate(["<s>", "</s>", *letters])}
    tokenizer = Tokenizer(models.BPE(names, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=len(names), max_position_embeddings=256,
        initializer_range=0.2, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def own(tmp_path_factory, fresh):
    """What README shows, put beside the Snakefile, and its command typed."""
    folder = tmp_path_factory.mktemp("newcomer") / "caploc"
    shutil.copytree(fresh.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    (folder / ".venv").symlink_to(sys.prefix)
    save_model(folder / "my-model")
    (questions,) = blocks("json")
    (folder / "questions.jsonl").write_text(questions)
    for text in [*blocks("yaml"), LARGER]:
        (folder / re.match(r"# (\w+\.yaml)\n", text)[1]).write_text(text)
    (command,) = blocks("sh")
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=1800,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1",
             "PYTHONPATH": str(folder / "workflow")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return Workflow(folder)


@pytest.fixture(scope="module")
def tables(own):
    files = (own.folder / "results/mine/tables").glob("*.parquet")
    return {path.stem: pl.read_parquet(path) for path in files}


def test_masks_and_maps_of_three_samples(own, tables):
    located = 0
    for mask in ("s3", "s6"):
        grid = read_mask(own.folder / f"results/mine/masks/my-model/questions/cnl/{mask}.parquet")
        assert grid.shape == (3, 512)
        rows = tables["neurons"].filter(mask=mask, dataset="questions", metric="score")
        assert len(rows) == grid.sum()
        located += grid.sum()
        share = tables["agreement"].filter(
            mask=mask, dataset="questions", metric="located_share_whole"
        )
        assert share["value"].to_list() == [grid.mean()]
    assert located > 0


def test_what_needs_more_samples_says_so(tables):
    agreement = tables["agreement"].filter(comparison="halves", metric="overlap")
    rows = agreement.filter(dataset="questions")
    assert set(rows["interval"]) == {FEW}
    assert set(rows["value"]) == {None}
    for name in ("erasure", "cross_overlap"):
        assert FEW in set(tables[name]["interval"]), name
    for name in ("erasure", "cross_erasure", "enhancement"):
        rows = tables[name].filter(pl.col("interval").str.starts_with("not computed"))
        assert len(rows), name
        assert set(rows["value"]) == {None}
        assert all("needs 20" in text for text in rows["interval"]), name
    # One data set has no other to be tested on.
    assert not len(tables["cross_enhancement"])


def test_the_report_shows_the_map_and_the_reasons(own):
    page = (own.folder / "results/mine/report.html").read_text()
    assert FEW in page
    assert re.search(r"located neurons?; layer \d", page)
    assert "nan" not in re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.S).lower().split()


def test_nothing_is_left_to_do(own):
    assert "Nothing to be done" in own.run("--dry-run", config="mine.yaml")


def test_the_larger_example_can_be_planned(own):
    for name in ("train.csv", "test.csv", "stories.txt"):
        rows = "".join(f"{name} {i} {'word ' * 20},answer {i}\n" for i in range(30))
        (own.folder / name).write_text("problem,solution\n" + rows)
    jobs = own.planned(config="larger.yaml")
    assert jobs["fetch_model"] == 1
    assert jobs["prepare_samples"] == 3


def test_the_number_of_questions_that_is_enough():
    """What README says of splits."""
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    mine = yaml.safe_load(blocks("yaml")[0])
    config["run"] |= mine["run"]
    for kind in ("models", "tasks"):
        config[kind] |= mine[kind]
    checked = check(config)
    wanted = checked["tasks"]["questions"]["samples"]
    assert list(wanted.values()) == [1000, 1000, 200, 500]
    enough = [all(len(cut(n, wanted)[s]) >= 20 for s in ("locate", "train", "test"))
              for n in range(200)]  # fmt: skip
    assert enough.index(True) == 108
    assert all(enough[108:])

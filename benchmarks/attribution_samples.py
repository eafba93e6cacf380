"""The model of config/embedded.yaml and its samples, for benchmarks that need a trained model.

Make them with: snakemake --cores 2 --configfile config/embedded.yaml
"""

from pathlib import Path

from caploc.files.store import read_table
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode

__all__ = ["MODEL", "samples_of"]

RUN = Path(__file__).resolve().parents[1] / "results/embedded"
MODEL = RUN / "models/embedded/hf"


def samples_of(
    lm: LanguageModel, n: int, task: str = "word-problems"
) -> tuple[list[list[int]], list[list[int]]]:
    """Ids of the first n samples of a task of the run."""
    table = read_table(RUN / f"samples/{task}/locate.parquet").slice(0, n).to_pydict()
    pairs = [
        encode(lm.tokenizer, prompt, answer, context=lm.context)
        for prompt, answer in zip(table["prompt"], table["answer"], strict=True)
    ]
    return [x for x, _ in pairs], [y for _, y in pairs]

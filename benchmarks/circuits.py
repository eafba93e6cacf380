"""Edge attribution: memory, and how well it predicts exact patching on the embedded model.

    .venv/bin/python benchmarks/circuits.py

Memory is the peak of resident memory above its level before, float32, random weights, one answer
token; the bound for Llama-2-7B is computed from the sizes of what the method holds. Correlation is
over the edges of one fact, Pearson, for facts of the knowledge base; the counterfactual prompt
is the same question about a subject with another object.
"""

import os
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from caploc.locators import circuit
from caploc.locators._edge_scores import score_edges
from caploc.models.language_model import wrap_model
from caploc.models.loading import load_model
from caploc.records import Sample
from caploc.tasks.facts import SUBJECTS, TEMPLATES, knowledge
from machine import save

MODEL = Path(__file__).resolve().parents[1] / "results/embedded/models/embedded/hf"
FACTS, STEPS = 20, 100


def peak(run: Any) -> float:
    """MiB of resident memory that a call needs at most, above what was there before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    run()
    return round((resident("VmHWM") - before) / 1024, 1)


def resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))


def memory() -> list[dict[str, Any]]:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=256, intermediate_size=512, num_hidden_layers=12, num_attention_heads=16,
        num_key_value_heads=16, vocab_size=500, max_position_embeddings=512,
    )  # fmt: skip
    lm = wrap_model(LlamaForCausalLM._from_config(config, attn_implementation="sdpa"))
    graph = circuit.graph_of(lm)
    found = []
    for tokens in (16, 32, 64, 128):
        clean = list(range(tokens))
        for chunk in (1 << 19, 1 << 40):

            def run(clean: list[int] = clean, chunk: int = chunk) -> None:
                score_edges(
                    lm, clean, [499, *clean[1:]], [1], rule="right", steps=2, batch_tokens=1,
                    chunk_values=chunk,
                )  # fmt: skip

            found.append(
                {
                    "tokens": tokens, "edges": graph.n_edges,
                    "chunk_values": chunk if chunk < 1 << 40 else None, "peak_mib": peak(run),
                    "all_source_outputs_mib": round(graph.n_sources * tokens * 256 * 4 / 2**20, 1),
                }
            )  # fmt: skip
    return found


def bound(tokens: int, chunk_values: int) -> dict[str, Any]:
    """Upper bounds for Llama-2-7B in bfloat16, products in float32, one row per pass, in GiB."""
    layers, width, ffn, heads, vocab = 32, 4096, 11008, 32, 32000
    graph = circuit.EdgeGraph(layers, heads, heads, parallel=False)
    recorded = (2 + 1) * 5 * layers * tokens * width * 2  # two rows and their difference
    slopes = 8 * layers * tokens * width * 2
    saved = layers * tokens * (12 * width + 6 * ffn + heads * tokens) * 4 + tokens * vocab * 4
    chunk = max(chunk_values, graph.readers_per_layer * width)
    # Sources once and in float32; reader slopes: parts, joined, norm forward and backward, sum.
    products = (2 + 10) * chunk * 4
    whole = (graph.n_sources + 10 * graph.readers_per_layer) * tokens * width * 4
    sizes = {
        "weights": 13_476_831_232, "recorded": recorded, "gradients": slopes,
        "activations_for_backward": saved, "chunks": products,
        "scores": graph.n_readers * graph.n_sources * 4,
    }  # fmt: skip
    gib = {name: round(size / 2**30, 2) for name, size in sizes.items()}
    return {
        "edges": graph.n_edges, "tokens": tokens, "chunk_values": chunk_values, "gib": gib,
        "gib_total": round(sum(sizes.values()) / 2**30, 2),
        "gib_of_chunks_if_they_were_not_chunked": round(whole / 2**30, 2),
    }  # fmt: skip


def agreement() -> dict[str, Any]:
    lm = load_model(MODEL)
    facts, rng, samples = knowledge(), np.random.default_rng(0), []
    for (subject, relation), obj in list(facts.items())[:: len(facts) // FACTS][:FACTS]:
        other = next(s for s in rng.permutation(SUBJECTS) if facts[s, relation] != obj)
        template = TEMPLATES[relation][0]
        meta = {
            "counterfactual": template.format(s=other),
            "counterfactual_answer": f" {facts[other, relation]}",
        }
        samples.append(Sample(subject, template.format(s=subject), f" {obj}", meta))
    found: dict[str, Any] = {"facts": len(samples), "edges": circuit.graph_of(lm).n_edges}
    for metric in circuit.METRICS:
        exact = [circuit.patch(lm, sample, metric=metric) for sample in samples]
        for steps in (1, STEPS):
            scores = [
                result.scores
                for result in circuit.locate(lm, samples, steps=steps, metric=metric)
                if isinstance(result, circuit.EdgeAttribution)
            ]
            r = [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(scores, exact, strict=True)]
            found[f"{metric}, {steps} steps"] = {
                "median": round(statistics.median(r), 4),
                "mean": round(statistics.mean(r), 4),
                "lowest": round(min(r), 4),
                "highest": round(max(r), 4),
            }
    return found


def main() -> None:
    # Large blocks go back to the system when they are freed, so that peaks are those of a call.
    if os.environ.get("MALLOC_MMAP_THRESHOLD_") != "65536":
        os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(1)
    path = save(
        "circuits",
        {
            "correlation_with_exact_patching": agreement(),
            "memory": memory(),
            "bound_llama2_7b": [bound(t, 1 << 26) for t in (32, 128)],
        },
    )
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()

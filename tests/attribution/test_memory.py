"""A budget of bytes: what is predicted against what is allocated, and scores that do not see it."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_families import LLAMA_LIKE, tiny
from tiny_models import ids

from caploc.attribution import memory, streams, trial_runs
from caploc.attribution.adaptive import Adaptive
from caploc.attribution.batching import Batch, NotEnough, plan_batches
from caploc.attribution.engine import attribute, planner_of
from caploc.attribution.planning import Planner
from caploc.attribution.recording import Sequence
from caploc.attribution.rules import path_rule
from caploc.attribution.tensor_bytes import TensorBytes
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

# Unequal lengths; the third answer has one token.
SHAPES = [(12, 5), (7, 5), (20, 1), (3, 4)]
PROMPTS = [ids(x, seed=i) for i, (x, _) in enumerate(SHAPES)]
ANSWERS = [ids(y, seed=50 + i) for i, (_, y) in enumerate(SHAPES)]
WIDE = {
    "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 4, "vocab_size": 300,
    "max_position_embeddings": 256,
}  # fmt: skip


def planner(
    lm: LanguageModel, prompts: list[list[int]], answers: list[list[int]], budget: int | None,
    rule: str = "inclusive", steps: int = 5, site: str = "post", rows: int = 4096,
) -> Planner:  # fmt: skip
    path = Adaptive(1e-3, steps) if rule == "adaptive" else path_rule(rule, steps)
    sizes = [(len(y), len(x) + len(y) - 1) for x, y in zip(prompts, answers, strict=True)]
    names = [str(i) for i in range(len(sizes))]
    return planner_of(lm, path, site, sizes, names, rows, budget)


def least_of(*args: Any, **settings: Any) -> int:
    """The smallest budget, as the error for a budget of one byte says."""
    with pytest.raises(DataError, match="memory_bytes=") as error:
        planner(*args, 1, **settings).batches()
    return int(str(error.value).partition("memory_bytes=")[2].split()[0])


def whole_of(*args: Any, **settings: Any) -> int:
    plan = planner(*args, None, **settings)
    return max(plan.bytes_of(batch) for batch in plan.batches())


def between(least: int, whole: int, n: int) -> list[int]:
    """Budgets from the smallest that is possible to one that cuts nothing, in equal ratios."""
    return [round(least * (whole / least) ** (k / (n - 1))) for k in range(n)]


# The meter ----------------------------------------------------------------------------------------


def test_the_meter_counts_storages_once_and_until_they_are_freed() -> None:
    before = torch.zeros(7)
    with TensorBytes() as meter:
        a = torch.zeros(1000)
        assert meter.live == 4000
        b = a[:10].view(2, 5)  # a view of it
        before += 1
        assert meter.live == 4000
        del a
        assert meter.live == 4000
        del b
        assert (meter.live, meter.peak) == (0, 4000)
        meter.restart()
        x = torch.ones(100, requires_grad=True)
        y = x.exp()  # its result is what the way back needs
        (g,) = torch.autograd.grad(y.sum(), x)
        assert meter.live == 3 * 400
        del g, y
        assert meter.live == 400
        assert 3 * 400 <= meter.peak <= 3 * 400 + 16


def allocated(run: Any) -> int:
    """Most bytes that torch's allocator of the processor has held beside those before."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    assert events
    steps = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    return max(itertools.accumulate(steps))


# Prediction and measurement -----------------------------------------------------------------------

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Llama", {}, {}),
    ("Llama", {}, {"site": "pre"}),
    ("Llama", {"num_key_value_heads": 1}, {"rule": "gauss-legendre"}),
    ("Gemma2", {"head_dim": 16, "sliding_window": 4,
                "layer_types": ["sliding_attention", "full_attention"] * 2}, {}),
    ("Phi3", {}, {}),
    ("Olmoe", {"num_experts": 5, "num_experts_per_tok": 2, "intermediate_size": 48}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("family", "shape", "settings"), CASES)
def test_measured_bytes_are_the_predicted_ones(
    family: str, shape: dict[str, Any], settings: dict[str, Any]
) -> None:
    lm = tiny(
        family, LLAMA_LIKE | WIDE, **({"attention": "eager"} if "Gemma" in family else {}), **shape
    )
    lm.model.float()
    prompts = [ids(60, seed=1), ids(50, seed=2)]
    answers = [ids(4, seed=3), ids(3, seed=4)]
    settings = {"steps": 5} | settings
    least = least_of(lm, prompts, answers, **settings)
    attribute(lm, prompts, answers, **settings)  # trial runs
    for budget in between(least, whole_of(lm, prompts, answers, **settings), 4):
        plan = planner(lm, prompts, answers, budget, **settings)
        predicted = max(plan.bytes_of(batch) for batch in plan.batches())
        with TensorBytes() as meter:
            attribute(lm, prompts, answers, memory_bytes=budget, **settings)
        assert meter.peak <= budget
        assert meter.peak <= predicted
        assert meter.peak >= 0.8 * predicted


def test_the_allocator_agrees_with_the_meter() -> None:
    lm = tiny("Llama", LLAMA_LIKE | WIDE)
    attribute(lm, PROMPTS, ANSWERS, steps=5)
    with TensorBytes() as meter:
        attribute(lm, PROMPTS, ANSWERS, steps=5)
    real = allocated(lambda: attribute(lm, PROMPTS, ANSWERS, steps=5))
    assert real == pytest.approx(meter.peak, rel=0.01)


def test_the_rule_adaptive_stays_within_its_budget() -> None:
    lm = tiny("Llama", LLAMA_LIKE | WIDE | {"num_hidden_layers": 2})
    chosen = {"rule": "adaptive", "steps": 32}
    least = least_of(lm, PROMPTS[:2], ANSWERS[:2], **chosen)
    whole = whole_of(lm, PROMPTS[:2], ANSWERS[:2], **chosen)
    attribute(lm, PROMPTS[:2], ANSWERS[:2], tolerance=1e-9, **chosen)
    for budget in between(least, 2 * whole, 3):
        with TensorBytes() as meter:
            settings = chosen | {"tolerance": 1e-9, "memory_bytes": budget}
            attribute(lm, PROMPTS[:2], ANSWERS[:2], **settings)
        # Every slot goes to the cap, as many at a time as the rest of the budget allows.
        assert 0.5 * budget <= meter.peak <= budget


def test_comparison_sees_a_wrong_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("Llama", LLAMA_LIKE | WIDE)
    original = trial_runs._rows
    monkeypatch.setattr(trial_runs, "_rows", lambda *a: tuple(n // 2 for n in original(*a)))
    predicted = whole_of(lm, PROMPTS, ANSWERS)
    with TensorBytes() as meter:
        attribute(lm, PROMPTS, ANSWERS, steps=5)
    assert meter.peak > predicted


# Divisions ----------------------------------------------------------------------------------------

RULES: list[dict[str, Any]] = [
    {"rule": "inclusive", "steps": 5},
    {"rule": "linspace", "steps": 4, "site": "pre"},
    {"rule": "adaptive", "steps": 32, "tolerance": 1e-9},
    {"rule": "adaptive", "steps": 16, "tolerance": 1e-9, "site": "pre"},
]


@pytest.mark.parametrize("settings", RULES)
def test_scores_do_not_depend_on_the_budget(settings: dict[str, Any]) -> None:
    lm = tiny("Llama", LLAMA_LIKE | {"num_hidden_layers": 4})
    expected = attribute(lm, PROMPTS, ANSWERS, **settings)
    chosen = {k: v for k, v in settings.items() if k != "tolerance"}
    least = least_of(lm, PROMPTS, ANSWERS, **chosen)
    seen = set()
    for budget in between(least, whole_of(lm, PROMPTS, ANSWERS, **chosen), 8):
        plan = planner(lm, PROMPTS, ANSWERS, budget, **chosen)
        seen |= {(b.n_tokens, b.n_points, b.n_layers, b.recompute) for b in plan.batches()}
        found = attribute(lm, PROMPTS, ANSWERS, memory_bytes=budget, **settings)
        for ours, theirs in zip(found, expected, strict=True):
            for name in ("scores", "probability", "probability_zeroed", "gap", "endpoint", "rest"):
                value = getattr(theirs, name)
                if value is None:
                    assert getattr(ours, name) is None
                    continue
                scale = max(np.abs(value).max(), np.abs(theirs.scores).max())
                np.testing.assert_allclose(getattr(ours, name), value, rtol=0, atol=1e-12 * scale)
            np.testing.assert_array_equal(ours.intervals, theirs.intervals)
    whole = planner(lm, PROMPTS, ANSWERS, None, **chosen).footprint.n_points
    # Every kind of cut was among them.
    assert any(n == 1 and p == whole for n, p, _, _ in seen)
    assert any(p < whole and layers == 4 for _, p, layers, _ in seen)
    assert any(p == 1 and layers < 4 for _, p, layers, _ in seen)
    assert any(again for *_, again in seen)


def test_comparison_sees_a_part_at_the_wrong_place(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("Llama")
    (expected,) = attribute(lm, PROMPTS[:1], ANSWERS[:1], steps=5)
    least = least_of(lm, PROMPTS[:1], ANSWERS[:1])
    only = Sequence.only
    monkeypatch.setattr(Sequence, "only", lambda self, part: only(self, slice(0, 1)))
    (found,) = attribute(lm, PROMPTS[:1], ANSWERS[:1], steps=5, memory_bytes=least)
    assert np.abs(found.scores - expected.scores).max() > 1e-6 * np.abs(expected.scores).max()


def test_what_is_cut_first() -> None:
    """Samples apart, then answer tokens, path points, layers, at last blocks are run again."""
    weights = {"tokens": 100, "points": 10, "layers": 3}

    def bytes_of(batch: Batch) -> int:
        part = len(batch.members) * 1000 + batch.n_tokens * weights["tokens"]
        part += batch.n_points * weights["points"] + batch.n_layers * weights["layers"]
        return part - batch.recompute - (batch.head_rows == 1)

    cuts = []
    for budget in range(2600, 1111, -1):
        (batch, *_) = plan_batches([(4, 9)] * 2, 3, 2, 4096, budget=budget, bytes_of=bytes_of)
        cut = (len(batch.members), batch.n_tokens, batch.n_points, batch.n_layers, batch.recompute)
        if cut not in cuts:
            cuts.append(cut)
        assert bytes_of(batch) <= budget
    assert cuts == [
        (2, 4, 3, 2, False), (1, 4, 3, 2, False), (1, 2, 3, 2, False), (1, 1, 3, 2, False),
        (1, 1, 2, 2, False), (1, 1, 1, 2, False), (1, 1, 1, 1, False), (1, 1, 1, 1, True),
    ]  # fmt: skip
    with pytest.raises(NotEnough, match="needs 1111 bytes"):
        plan_batches([(4, 9)] * 2, 3, 2, 4096, budget=1110, bytes_of=bytes_of)


def test_a_budget_that_cannot_be_met_says_what_could() -> None:
    lm = tiny("Llama")
    least = least_of(lm, PROMPTS, ANSWERS)
    with pytest.raises(DataError, match=r"sample '2' cannot be scored with [\d,]+ bytes") as error:
        attribute(lm, PROMPTS, ANSWERS, steps=5, memory_bytes=least - 1)
    assert f"memory_bytes={least} " in str(error.value)
    attribute(lm, PROMPTS, ANSWERS, steps=5, memory_bytes=least)
    with pytest.raises(ValueError, match="memory_bytes must be at least 1, found 0"):
        attribute(lm, PROMPTS, ANSWERS, memory_bytes=0)


# Allocations that fail ----------------------------------------------------------------------------

FAILURES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


def fail_above(monkeypatch: pytest.MonkeyPatch, most: int, error: BaseException) -> list[int]:
    """Let the head fail for more than so many rows; returns the rows that it was asked for."""
    asked: list[int] = []
    original = streams.answer_probability

    def head(lm_head: Any, hidden: Any, *rest: Any) -> Any:
        asked.append(len(hidden))
        if len(hidden) > most:
            # A new one each time: an error holds the tensors of the frames that it passed.
            raise type(error)(*error.args)
        return original(lm_head, hidden, *rest)

    monkeypatch.setattr(streams, "answer_probability", head)
    return asked


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("rule", ["inclusive", "adaptive"])
def test_a_failed_allocation_halves_the_work(
    error: BaseException, rule: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    lm = tiny("Llama")
    settings = {"rule": rule, "steps": 8}
    expected = attribute(lm, PROMPTS, ANSWERS, **settings)
    asked = fail_above(monkeypatch, 20, error)
    found = attribute(lm, PROMPTS, ANSWERS, **settings)
    assert max(asked) > 40
    assert asked[-1] <= 20
    assert "out of memory" in caplog.text
    for ours, theirs in zip(found, expected, strict=True):
        scale = np.abs(theirs.scores).max()
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=0, atol=1e-12 * scale)


def test_memory_that_is_never_enough_ends_in_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("Llama")
    fail_above(monkeypatch, 0, FAILURES[0])
    with pytest.raises(DataError, match=r"sample '\d': out of memory \(CUDA out of memory"):
        attribute(lm, PROMPTS, ANSWERS, steps=5)


def test_another_error_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("Llama")
    asked = fail_above(monkeypatch, 0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="multiplied"):
        attribute(lm, PROMPTS, ANSWERS, steps=5)
    assert len(asked) == 1


def test_nothing_of_a_failed_batch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("Llama", LLAMA_LIKE | WIDE)
    attribute(lm, PROMPTS, ANSWERS, steps=5)
    with TensorBytes() as meter:
        attribute(lm, PROMPTS, ANSWERS, steps=5)
        whole = meter.peak
        fail_above(monkeypatch, 20, FAILURES[0])
        meter.restart()
        attribute(lm, PROMPTS, ANSWERS, steps=5)
    assert meter.peak <= 1.02 * whole


# Free memory --------------------------------------------------------------------------------------


def test_free_memory_is_what_system_and_group_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("Llama")
    free = memory.free_bytes(torch.device("cpu"))
    assert free is not None and 2**20 < free < 2**50
    monkeypatch.setattr(memory, "_available", lambda: 1000)
    monkeypatch.setattr(memory, "_left_of_group", lambda: 600)
    assert memory.free_bytes(torch.device("cpu")) == 600
    assert memory.budget_bytes(lm, None) == 300
    assert memory.budget_bytes(lm, 5000) == 5000
    monkeypatch.setattr(memory, "_available", lambda: None)
    monkeypatch.setattr(memory, "_left_of_group", lambda: None)
    assert memory.budget_bytes(lm, None) is None


def test_a_control_group_leaves_its_limit_less_what_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "job/step"
    own.mkdir(parents=True)
    for folder, limit in ((tmp_path / "job", "1000"), (own, "max")):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("700\n")
        (folder / "memory.stat").write_text("anon 5\ninactive_file 200\n")
    (tmp_path / "cgroup").write_text("0::/job/step\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "cgroup")
    assert memory._left_of_group() == 500

"""The adaptive rule: its points and weights by independent means, its scores by the definition."""

from typing import Any

import numpy as np
import pytest
import torch
from naive import naive_scores
from test_engine import ANSWERS, PROMPTS, check, worst
from tiny_models import tiny_gptj, tiny_llama, tiny_olmo2

from caploc.attribution import adaptive
from caploc.attribution.adaptive import clenshaw_curtis, path_nodes
from caploc.attribution.engine import Attribution, attribute
from caploc.models.language_model import LanguageModel

SETTINGS: dict[str, Any] = {"rule": "adaptive", "steps": 16, "tolerance": 1e-4}


def weights_by_interpolation(points: np.ndarray) -> np.ndarray:
    """Weights that integrate every polynomial through the points over [0, 1]."""
    basis = np.polynomial.legendre.legvander(2 * points - 1, len(points) - 1)
    # Only the constant polynomial of the basis has an integral, 1.
    return np.linalg.solve(basis.T, np.eye(len(points))[0])


def nodes_of(found: Attribution, token: int, layer: int) -> tuple[list[float], list[float]]:
    """Points and weights that a result says were used, without the code of the engine."""
    assert found.intervals is not None and found.center is not None and found.radius is not None
    n = int(found.intervals[layer, token])
    s = np.sin(np.pi * np.arange(n + 1) / (2 * n)) ** 2
    center, radius = found.center[layer, token], found.radius[layer, token]
    start, end = np.arctan(-center / radius), np.arctan((1 - center) / radius)
    angle = start + s * (end - start)
    weights = weights_by_interpolation(s) * (end - start) * radius / np.cos(angle) ** 2
    return (center + radius * np.tan(angle)).tolist(), weights.tolist()


@pytest.mark.parametrize("n", [4, 8, 16])
def test_clenshaw_curtis(n: int) -> None:
    points, weights = clenshaw_curtis(n)
    np.testing.assert_allclose(weights, weights_by_interpolation(points), rtol=1e-10)
    for power in range(n + 1):
        assert weights @ points**power == pytest.approx(1 / (power + 1), abs=1e-14)
    np.testing.assert_allclose(clenshaw_curtis(2 * n)[0][::2], points, atol=1e-15)


def test_change_of_variable_resolves_a_sharp_turn() -> None:
    # The direction of h + c u, with u 50 times longer and almost orthogonal.
    h, u = np.array([1.0, 0.2]), np.array([0.5, 50.0])
    center = torch.tensor(-(h @ u) / (u @ u))
    radius = torch.tensor(np.linalg.norm(h + center.item() * u) / np.linalg.norm(u))

    def value(c: np.ndarray) -> np.ndarray:
        x = h + c[:, None] * u
        return np.exp(2 * x[:, 0] / np.linalg.norm(x, axis=1))

    def slope(c: np.ndarray) -> np.ndarray:
        x = h + c[:, None] * u
        length = np.linalg.norm(x, axis=1)
        return value(c) * 2 * (u[0] - x[:, 0] * (x @ u) / length**2) / length

    exact = np.diff(value(np.array([0.0, 1.0])))[0]
    points, weights = (x.numpy() for x in path_nodes(8, center, radius))
    assert points[0] == 0 and points[-1] == 1 and (np.diff(points) > 0).all()
    error = abs(weights @ slope(points) - exact)
    plain, plain_weights = clenshaw_curtis(8)
    assert error < 1e-3 * abs(exact)
    assert abs(plain_weights @ slope(plain) - exact) > 100 * error


def test_straight_path() -> None:
    points, weights = path_nodes(8, torch.tensor(0.0), torch.tensor(1e3))
    expected = clenshaw_curtis(8)
    np.testing.assert_allclose(points, expected[0], atol=1e-6)
    np.testing.assert_allclose(weights, expected[1], atol=1e-6)


@pytest.fixture(scope="module")
def llama() -> LanguageModel:
    return tiny_llama(n_layers=3)


@pytest.mark.parametrize(
    ("make", "site"), [(tiny_llama, "post"), (tiny_gptj, "post"), (tiny_olmo2, "pre")]
)
def test_scores_are_those_of_the_points_used(make: Any, site: str) -> None:
    lm = make()
    # The first three have unequal lengths; in one pass, and in the smallest possible pieces.
    whole, pieces = (
        attribute(lm, PROMPTS[:3], ANSWERS[:3], site=site, batch_rows=n, **SETTINGS)
        for n in (10_000, 3)
    )
    name = lm.family.ffn_out if site == "post" else lm.family.ffn_in[0]
    modules = [block.get_submodule(name) for block in lm.blocks]
    for i in range(3):
        assert whole[i].intervals.tolist() == pieces[i].intervals.tolist()
        assert worst(pieces[i].scores, whole[i].scores) < 1e-9
    for i in (1, 2):
        expected = naive_scores(
            lm.model, modules, PROMPTS[i], ANSWERS[i], [], [], site, None,
            lambda m, layer, i=i: nodes_of(whole[i], m, layer),
        )  # fmt: skip
        check(whole[i], expected, 1e-9)


def test_points_go_where_the_gap_is(llama: LanguageModel) -> None:
    found = attribute(llama, PROMPTS, ANSWERS, **SETTINGS)
    intervals = np.concatenate([a.intervals.ravel() for a in found])
    gap = np.concatenate([a.gap.ravel() for a in found])
    assert set(intervals) == {4, 8, 16}
    assert (gap[intervals < 16] <= 1e-4).all()
    capped = attribute(llama, PROMPTS, ANSWERS, **SETTINGS | {"steps": 15})
    for a, b in zip(capped, found, strict=True):
        np.testing.assert_array_equal(a.intervals, np.minimum(b.intervals, 8))
        assert (a.gap[b.intervals > 8] > 1e-4).all()
    fine = attribute(llama, PROMPTS, ANSWERS, rule="gauss-legendre", steps=200)
    deep = attribute(llama, PROMPTS, ANSWERS, rule="adaptive", steps=256, tolerance=1e-7)
    for a, b in zip(deep, fine, strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)


def test_change_of_variable_of_a_model(llama: LanguageModel) -> None:
    (found,) = attribute(llama, PROMPTS[1:2], ANSWERS[1:2], **SETTINGS)
    outputs, silent = [], []
    for block in llama.blocks:
        handle = block.register_forward_hook(
            lambda m, a, out: outputs.append(out[0] if isinstance(out, tuple) else out)
        )
        llama.model(torch.tensor([PROMPTS[1]]))
        handle.remove()
        zero = block.mlp.register_forward_hook(lambda m, a, out: torch.zeros_like(out))
        handle = block.register_forward_hook(
            lambda m, a, out: silent.append(out[0] if isinstance(out, tuple) else out)
        )
        llama.model(torch.tensor([PROMPTS[1]]))
        handle.remove()
        zero.remove()
    for layer, (x, h) in enumerate(zip(outputs, silent, strict=True)):
        h, u = h[0, -1].numpy(), (x - h)[0, -1].numpy()
        center = -(h @ u) / (u @ u)
        assert found.center[layer, 0] == pytest.approx(center, rel=1e-9)
        radius = np.linalg.norm(h + center * u) / np.linalg.norm(u)
        assert found.radius[layer, 0] == pytest.approx(radius, rel=1e-9)


@pytest.mark.parametrize("how", ["weights", "points", "odd points"])
def test_comparison_catches_damage(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    right = attribute(llama, PROMPTS[:2], ANSWERS[:2], **SETTINGS)
    original, values = path_nodes, adaptive._values

    def nodes(n: int, center: Any, radius: Any) -> Any:
        points, weights = original(n, center, radius)
        return (points * 0.99, weights) if how == "points" else (points, weights * 1.01)

    if how == "odd points":
        monkeypatch.setattr(adaptive, "_values", lambda *a: values(*a) * 1.01)
    else:
        monkeypatch.setattr(adaptive, "path_nodes", nodes)
    wrong = attribute(llama, PROMPTS[:2], ANSWERS[:2], **SETTINGS)
    assert max(worst(a.scores, b.scores) for a, b in zip(wrong, right, strict=True)) > 1e-4


def test_rounding_limits_the_tolerance() -> None:
    lm = tiny_llama(n_layers=3)
    lm.model.bfloat16()
    found = attribute(lm, PROMPTS[:2], ANSWERS[:2], rule="adaptive", steps=64, tolerance=1e-9)
    # Nothing is gained by points where the gap is rounding.
    assert np.median(np.concatenate([a.intervals.ravel() for a in found])) < 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"steps": 3}, "at least 4, found 3"), ({"tolerance": 0.0}, "above 0, found 0")],
)
def test_refusals(llama: LanguageModel, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attribute(llama, PROMPTS[:1], ANSWERS[:1], **SETTINGS | changes)

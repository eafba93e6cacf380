"""Effects beside their controls, against loops and known answers."""

import numpy as np
import pytest

from caploc.measures.effects import dose_area, excess, stratified


def test_excess_is_paired_and_counts_stronger_controls():
    rng = np.random.default_rng(0)
    hard = rng.normal(size=40) * 5  # shared by every set: only pairing removes it
    effect = hard + 1.0 + rng.normal(size=40) * 0.01
    controls = hard + np.arange(9)[:, None] / 4 + rng.normal(size=(9, 40)) * 0.01
    found = excess(effect, controls, 0)
    wanted = np.mean([effect[i] - np.mean([c[i] for c in controls]) for i in range(40)])
    assert found.estimate.value == pytest.approx(wanted)
    assert found.estimate.high - found.estimate.low < 0.02
    stronger = sum(c.mean() >= effect.mean() for c in controls)
    assert (found.p, found.n_draws) == ((1 + stronger) / 10, 9)
    with pytest.raises(ValueError, match="not paired"):
        excess(effect[:3], controls, 0)


def test_dose_area_is_a_mean_over_the_logarithm():
    shares = [0.001, 0.01, 0.1]
    flat = np.full((3, 2), 0.7)
    assert dose_area(flat, shares) == pytest.approx([0.7, 0.7])
    ramp = np.array([[0.0], [1.0], [2.0]])
    assert dose_area(ramp, shares) == pytest.approx([1.0])
    uneven = dose_area([[0.0], [1.0], [1.0]], [0.001, 0.1, 0.2])
    grid = np.linspace(np.log(0.001), np.log(0.2), 100_001)
    curve = np.interp(grid, np.log([0.001, 0.1, 0.2]), [0, 1, 1])
    assert uneven == pytest.approx([curve.mean()], abs=1e-4)
    for bad in ([0.1], [0.1, 0.1]):
        with pytest.raises(ValueError, match="at least two, ascending"):
            dose_area(np.zeros((len(bad), 1)), bad)


def test_stratified_resamples_within_groups():
    # Groups without spread have no interval, however far apart they are.
    found = stratified([[0.0] * 5, [1.0] * 50], 0)
    assert (found.value, found.low, found.high, found.n) == (0.5, 0.5, 0.5, 55)
    rng = np.random.default_rng(1)
    groups = [rng.normal(size=30), rng.normal(size=60)]
    found = stratified(groups, 0, 4000)
    error = np.sqrt(sum(g.var() / len(g) for g in groups)) / 2
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.06)

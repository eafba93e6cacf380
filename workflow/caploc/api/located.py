"""Neurons that were located: as a mask, a table, a file, a drawing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.files.masks import write_mask
from caploc.interventions.delta import read_tensors
from caploc.measures.agreement import overlap
from caploc.measures.masks import Sign, outliers, standard
from caploc.models.hub import hub_file
from caploc.models.language_model import LanguageModel
from caploc.records import DataError
from caploc.shipped import lacking

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Located", "Neurons", "draw_map", "mask_of"]

_SPLITS = 40


@dataclass(frozen=True)
class Located:
    """Neurons that were located.

    Attributes:
        scores: (part, layer, neuron) scores, a part a sample for most methods.
        sigma: threshold, in standard deviations from the mean over all neurons.
        sign: which side of the mean counts: both, positive or negative.
        method: name of the locator.
        settings: of the locator.
        seed: of what is drawn.

    Example:
        >>> found.table().columns
        ['layer', 'neuron', 'score', 'z']
        >>> found.save("located.parquet") == len(found.table())
        True
        >>> bool((caploc.read_mask("located.parquet") == found.mask).all())
        True
        >>> found.halves(minimum=100) is None  # with more samples: mean overlap, 2.5 and 97.5 %
        True
        >>> drawing = found.plot()
    """

    scores: NDArray[np.floating]
    sigma: float = 6.0
    sign: Sign = "both"
    method: str = "cnl"
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @classmethod
    def from_hub(
        cls,
        repo: str,
        *,
        task: str,
        mask: str | None = None,
        model: str | None = None,
        method: str | None = None,
        revision: str | None = None,
    ) -> "Located":
        """Neurons that ``caploc push`` put into a repository of the hub.

        The mean scores come along, not those of single samples, so `halves` gives None.

        Args:
            repo: hub id, e.g. ``owner/name``.
            task: name of the ability in the run.
            mask: id of the mask, e.g. ``s6``; it, model and method may be left out where the
                repository has one of the task.
            model: name of the model in the run.
            method: id of the method.
            revision: commit, tag or branch.

        Raises:
            DataError: not found, not a repository of located neurons, or several or none of that
                description.
        """
        path, commit = hub_file(repo, "caploc.json", revision)
        asked = {"task": task, "mask": mask, "model": model, "method": method}
        wanted = {name: value for name, value in asked.items() if value is not None}
        every = json.loads(path.read_text(encoding="utf-8"))["masks"]
        found = [one for one in every if all(one[k] == v for k, v in wanted.items())]
        if len(found) != 1:
            known = ", ".join("/".join(one[k] for k in asked) for one in found or every)
            raise DataError(
                f"{repo}: {len(found)} masks are {wanted}; name one of these "
                f"task/mask/model/method: {known}"
            )
        (one,) = found
        tensors, _ = read_tensors(hub_file(repo, one["scores"], commit)[0])
        kept = cls(tensors["mean"].numpy()[None], one["sigma"], one["sign"], one["method"])
        if int(kept.mask.sum()) != one["n_located"]:
            raise DataError(
                f"{repo}: {one['file']} was located by another rule than sigma and sign; download "
                "it and use read_mask"
            )
        return kept

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """(layer, neuron) mean score; in probability for `cnl`."""
        return np.asarray(self.scores.mean(axis=0, dtype=np.float64))

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(layer, neuron) True where located."""
        return self._mask(self.mean)

    @cached_property
    def z(self) -> NDArray[np.float64]:
        """(layer, neuron) distance of the mean score from the mean of all, in its deviations."""
        basis = standard(self.mean)
        return (self.mean - basis.mean[:, None]) / basis.dispersion[:, None]

    @property
    def n_samples(self) -> int:
        """Samples that were scored, or parts for methods that score a task as a whole."""
        return len(self.scores)

    def _mask(self, mean: NDArray[np.float64]) -> NDArray[np.bool_]:
        return outliers(mean, self.sigma, sign=self.sign)

    def table(self) -> pl.DataFrame:
        """Located neurons with layer, neuron (both from 0), score and z, strongest first."""
        layers, neurons = np.nonzero(self.mask)
        found = pl.DataFrame(
            {
                "layer": layers, "neuron": neurons, "score": self.mean[self.mask],
                "z": self.z[self.mask],
            }
        )  # fmt: skip
        return found.sort(pl.col("z").abs(), descending=True)

    def halves(self, minimum: int = 20) -> tuple[float, float, float] | None:
        """Do two disjoint halves of the samples locate the same neurons?

        Args:
            minimum: fewer samples than this tell nothing.

        Returns:
            Mean overlap of the two sets over 40 random splits, and its 2.5 and 97.5 percentiles;
            None with too few samples, or where a half locates nothing.
        """
        n = len(self.scores)
        if n < minimum:
            return None
        rng, found = np.random.default_rng(self.seed), []
        for _ in range(_SPLITS):
            order = rng.permutation(n)
            a, b = (self.scores[part].mean(axis=0) for part in (order[: n // 2], order[n // 2 :]))
            value = overlap(self._mask(a), self._mask(b))
            if value is not None:
                found.append(value)
        if not found:
            return None
        low, high = np.quantile(found, [0.025, 0.975])
        return float(np.mean(found)), float(low), float(high)

    def save(self, path: str | Path) -> int:
        """Write the mask as a file that `read_mask` and ``caploc apply`` read.

        Returns:
            Number of located neurons.
        """
        origin = {"stage": "locate", "spec": {"method": self.method, "seed": self.seed}}
        rule = {"sigma": self.sigma, "sign": self.sign}
        metadata = {"origin": origin, "n_samples": self.n_samples}
        return write_mask(Path(path), self.mean, rule, metadata)

    def plot(self) -> "alt.TopLevelMixin":
        """Share of the located neurons in each layer."""
        return draw_map({self.method: self})


Neurons = Located | NDArray[np.bool_]
"""A located set, or a (layer, neuron) mask."""


def mask_of(located: Neurons, lm: LanguageModel | None = None) -> NDArray[np.bool_]:
    """(layer, neuron) True where located.

    Raises:
        DataError: another grid than that of the model, if one is given.
    """
    mask = located.mask if isinstance(located, Located) else np.asarray(located, dtype=np.bool_)
    if lm is not None and mask.shape != (lm.n_layers, lm.n_neurons):
        raise DataError(
            f"a mask of shape {mask.shape}, the model has {lm.n_layers} layers of {lm.n_neurons} "
            "neurons; masks belong to the model that they were located in"
        )
    return mask


def draw_map(masks: Mapping[str, Neurons]) -> "alt.TopLevelMixin":
    """A line for each set of neurons: the share of it in each layer.

    Args:
        masks: `Located` or (layer, neuron) mask by name, all of one model.

    Returns:
        A chart of altair.

    Raises:
        DataError: altair is not installed.

    Example:
        >>> drawing = caploc.draw_map({"mine": found, "stricter": abs(found.z) > 3})
    """
    try:
        import altair as alt
    except ModuleNotFoundError as error:
        raise lacking(error) from None
    rows: list[dict[str, Any]] = []
    for name, located in masks.items():
        counts = mask_of(located).sum(axis=1)
        for layer, n in enumerate(counts):
            shared = {"share": float(n / max(counts.sum(), 1)), "neurons": int(n)}
            rows.append({"ability": name, "layer": layer} | shared)
    chart = alt.Chart({"values": rows}).mark_rect()
    drawn: alt.TopLevelMixin = chart.encode(
        x=alt.X("layer:O", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("ability:N", sort=list(masks), title=None),
        color=alt.Color("share:Q", scale=alt.Scale(scheme="blues", domainMin=0)),
        tooltip=["ability:N", "layer:O", "neurons:Q"],
    )
    return drawn

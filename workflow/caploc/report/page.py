"""The page: one HTML file that needs nothing else, the same bytes for the same inputs."""

import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from caploc.experiments.decoupling import report as decoupling
from caploc.experiments.enhancement import report as enhancement
from caploc.experiments.erasure import report as erasure
from caploc.experiments.fidelity import report as fidelity
from caploc.experiments.reliability import report as reliability
from caploc.report import crossing, figures, formatting, sections
from caploc.report.comparisons import pair_verdict
from caploc.report.experiment_findings import experiment_findings, silencing_tile
from caploc.report.findings import USEFUL, findings, tiles
from caploc.report.formatting import Number
from caploc.report.inputs import Inputs
from caploc.report.palette import DARK, SERIES, SHARING
from caploc.report.views import View, views

__all__ = ["render"]

_PACKAGES = ("caploc", "torch", "transformers", "numpy", "pyarrow", "altair", "vl-convert-python")


def render(inputs: Inputs) -> str:
    """The whole page as HTML text."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("caploc", folder) for folder in ("report", "experiments")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "percent": _percent,
        "nat": formatting.nat,
        "points": formatting.points,
        "share": _share,
        "span": _span,
        "probability": formatting.probability,
        "count": formatting.count,
        "joined": formatting.joined,
        "unbroken": formatting.unbroken,
    }
    template = environment.get_template("page.html.jinja")
    return template.render(
        inputs=inputs,
        spec=inputs.spec,
        style=Markup(files("caploc.report").joinpath("page.css").read_text(encoding="utf-8")),
        dark=DARK,
        series=SERIES,
        sharing=SHARING,
        useful=USEFUL,
        views=[_view(view) for view in views(inputs)],
        models=[_model(inputs, model) for model in inputs.spec["models"]],
        paper=sections.paper(),
        fidelity=fidelity.section(inputs),
        reliability=reliability.section(inputs),
        decoupling=decoupling.section(inputs),
        paper_erasure=erasure.paper(),
        paper_enhancement=enhancement.paper(),
        dose_series=erasure.DOSE_SERIES,
        samples=sections.sample_rows(inputs),
        drops=sections.drop_rows(inputs),
        splits=sections.split_check(inputs.splits),
        settings=sections.flat(inputs.spec["config"]),
        used=sections.used_settings(inputs.spec["config"]),
        versions=_versions(),
    )


def _view(view: View) -> dict[str, Any]:
    """Everything the template shows of one model and method."""
    return {
        "view": view,
        "tiles": [*tiles(view)[:3], silencing_tile(view) or tiles(view)[3]],
        "findings": [*findings(view), *experiment_findings(view)],
        "agreement": figures.agreement_figure(view),
        "stability": sections.stability_rows(view),
        "references": sections.reference_rows(view),
        "sigmas": sections.sigma_rows(view),
        "sigma_panels": figures.sigma_panels(view),
        "maps": figures.neuron_panels(view),
        "curves": figures.stability_panels(view),
        "matrix": sections.matrix(view),
        "pairs": sections.pair_rows(view),
        "verdict": pair_verdict(view),
        "gaps": sections.gap_rows(view),
        "converged": sections.converged_rows(view),
        "erasure": erasure.erasure(view),
        "crossing": crossing.crossing(view),
        "enhancement": enhancement.enhancement(view),
    }


def _model(inputs: Inputs, model: str) -> dict[str, Any]:
    """What the template shows of one model whatever the method."""
    return {
        "id": model,
        "manifest": inputs.manifests[model],
        "details": sections.flat(
            {k: v for k, v in inputs.manifests[model].items() if k != "files"}
        ),
        "files": sorted(inputs.manifests[model].get("files", {}).items()),
        "base": sections.base_rows(inputs, model),
        "accuracy": figures.accuracy_figure(inputs, model),
        "loss": figures.loss_figure(inputs, model),
    }


def _versions() -> list[tuple[str, str]]:
    """Programs that are installed where the page is written."""
    found = [("python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return [*found, ("platform", f"{platform.system()} {platform.machine()}")]


def _percent(number: Number | float | None, digits: int = 1) -> str:
    value = number.value if isinstance(number, Number) else number
    return "–" if value is None else formatting.percent(value, digits)


def _share(number: Number) -> str:
    return "–" if number.value is None else formatting.share(number.value)


def _span(number: Number) -> str:
    """The range of a number, empty where it has none."""
    if number.low is None or number.high is None:
        return ""
    return formatting.percent_span(number.low, number.high)

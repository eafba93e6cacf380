"""The maps of causal tracing stand in the section about single facts, and say what they show."""

import example_run
import pytest
from page_reader import Reader
from test_fidelity_section import rows as fidelity_rows

from caploc.experiments.fidelity._tracing import tracing_view
from caploc.experiments.fidelity.tabulate_tracing import ROLES, STATES
from caploc.report.inputs import read_inputs
from caploc.report.page import render


def rows():
    """Known: the FFN of layer 1 at the last subject token brings back 40 points, all else 1."""
    base = {"model": "tiny", "dataset": "invented", "metric": "indirect_effect"}
    found = []
    for group in ("known", "all"):
        for state in STATES:
            for role in ROLES:
                for layer in range(3):
                    top = (state, role, layer) == ("ffn", "last subject token", 1)
                    value = 0.4 if top and group == "known" else 0.01
                    ends = {"ci_low": value - 0.005, "ci_high": value + 0.005}
                    named = {"facts": group, "state": state, "position": role, "layer": layer}
                    found.append(base | named | ends | {"value": value, "n": 9})
    words = ["Capital", "Ġof", 'Ġ"Bel</svg>', "Ġis"]
    for state in STATES:
        for token, text in enumerate(words):
            role = "last subject token" if token == 2 else "" if token < 2 else "last token"
            for layer in range(3):
                cell = {"fact": "f1", "facts": "known", "state": state, "token": token}
                cell |= {"text": text, "position": role, "layer": layer}
                found.append(base | cell | {"value": (token - 1) * 0.1, "n": 1})
    return found


@pytest.fixture
def inputs(tmp_path):
    tables = {"fidelity": fidelity_rows(), "tracing": rows()}
    return read_inputs(example_run.write_run(tmp_path, None, tables))


def test_the_maps_and_their_peak(inputs):
    view = tracing_view(inputs, "tiny", "invented")
    assert view["group"] == "known"
    assert [panel.title for panel in view["averaged"]] == [
        "Output of the block",
        "FFN",
        "Attention",
    ]
    title, peak = view["peaks"][1]
    assert (title, peak["value"], peak["layer"]) == ("FFN", 0.4, 1)
    ((title, panels),) = view["facts"]
    assert title == 'Capital of "Bel</svg> is' and len(panels) == 3
    html = render(inputs)
    Reader(html)
    text = html[html.index('id="fidelity"') :]
    assert "FFN: 40.0 points (39.5 to 40.5) at the last subject token, layer 1" in text
    figure = text[text.index("<figure>") :]
    for words in (
        ">layer<",
        ">effect, points<",
        ">last subject token<",
        ">is<",
        "Bel&lt;/svg&gt;*",
    ):
        assert words in figure, words


def test_no_maps_without_the_locator(inputs):
    assert tracing_view(inputs, "tiny", "other") is None


def test_a_map_of_the_last_subject_token_alone(tmp_path):
    """Tracing may keep to one token: its line has its word, and nothing else is drawn."""
    traced = [row for row in rows() if row["position"] == "last subject token"]
    tables = {"fidelity": fidelity_rows(), "tracing": traced}
    view = tracing_view(
        read_inputs(example_run.write_run(tmp_path, None, tables)), "tiny", "invented"
    )
    ((title, panels),) = view["facts"]
    assert title == '"Bel</svg>' and len(panels) == 3
    assert 'largest effect 10.0 points at "Bel</svg>*, layer 0' in panels[1].svg.label

"""Words of the page: sentences are plain text, templates find numbers."""

import jinja2
import pytest

from caploc.report.formatting import Number
from caploc.report.templates import environment, said


def test_a_sentence_is_one_line_of_plain_text():
    found = said("fidelity", "tested", passed=["A & <b>"], failed=[])
    assert found.endswith(" A & <b> tells facts apart here.")
    assert "\n" not in found and "  " not in found


@pytest.mark.parametrize(
    ("passed", "failed", "words"),
    [
        (["A"], ["B"], "A does more here; B does not."),
        (["A", "B"], ["C", "D"], "A and B do more here; C and D do not."),
        ([], ["A", "B"], "Here no locator does (A and B)."),
    ],
)
def test_who_passes_a_test(passed, failed, words):
    assert said("reliability", "tested", passed=passed, failed=failed).endswith(words)


def test_a_forgotten_variable_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        said("agreement", "missing", told=jinja2.StrictUndefined())


def test_a_cell_shows_why_there_is_no_number():
    cell = environment().get_template("parts.html.jinja").module.cell
    assert str(cell(Number(reason="n < 3"))).strip() == '<td class="none">n &lt; 3</td>'
    assert "no reason" not in cell(Number(reason="")) and "–" in cell(Number(reason=""))
    assert '<strong class="value">10.0</strong>' in cell(Number(0.1), bold=True)

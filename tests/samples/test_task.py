import pytest

from caploc import plugins
from caploc.records import DataError, Dropped
from caploc.samples.scoring import same_text
from caploc.samples.task import Task, template_columns


def own(prompt, answer=" {a}"):
    return Task("Own", "text", same_text, prompt=prompt, answer=answer)


def test_templates_are_filled():
    task = own("Q: {q}\nA:")
    assert task.columns == ("q", "a")
    assert task.to_sample({"q": "Why?", "a": 3, "other": None}) == ("Q: Why?\nA:", " 3", {})


def test_values_with_braces_and_doubled_braces():
    prompt, answer, _ = own("{{set}} {q}").to_sample({"q": "{a}", "a": "{x"})
    assert (prompt, answer) == ("{set} {a}", " {x")


def test_windows_line_ends_become_plain():
    assert own("{q}").to_sample({"q": "a\r\nb", "a": "1"})[0] == "a\nb"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"q": "  ", "a": "1"}, "empty prompt"),
        ({"q": "x", "a": ""}, "empty answer"),
        ({"q": "x", "a": None}, "empty answer"),
    ],
)
def test_rows_without_text_are_dropped(row, reason):
    with pytest.raises(Dropped, match=reason):
        own("{q}").to_sample(row)


def test_a_place_without_a_column_is_an_error():
    with pytest.raises(DataError, match=r"no column 'topic'; found \['a', 'q'\]; correct"):
        own("{topic}").to_sample({"q": "x", "a": "y"})


@pytest.mark.parametrize(
    "template", ["{", "{}", "{0}", "{a.b}", "{a[0]}", "{a:>2000000000}", "{a!r}", "{a:{a}}"]
)
def test_bad_templates_say_so(template):
    with pytest.raises(DataError, match="for literal braces"):
        template_columns(template)


@pytest.mark.parametrize("name", plugins.names("tasks"))
def test_contract(name):
    task = plugins.load("tasks", name).TASK
    assert task.title
    assert task.capability in ("mathematics", "code", "language", "knowledge", "extraction", "text")
    assert plugins.load("tasks", name).__doc__
    if task.generate is None and name != "generic":
        assert task.source is not None
        assert task.prompt and task.answer
        assert not task.prompt.endswith(" ")
        assert task.prompt.endswith("\n") or not task.answer[0].isalnum()

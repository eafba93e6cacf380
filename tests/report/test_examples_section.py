"""What the page shows of every ability: its first questions and its strongest neurons."""


def rows(prompt="one two three -> \x07\n" * 9 + "four ->", located=" 4\n5"):
    return [
        {
            "model": "tiny", "dataset": dataset, "method": "cnl", "mask": "s6", "sample_id": str(i),
            "prompt": prompt, "answer": " <b>", "unchanged": " 4", "located": located, "random": "",
        }
        for dataset in ("alpha", "gamma") for i in range(3)
    ]  # fmt: skip


def test_questions_and_neurons_of_each_ability(changed):
    view, _, html = changed({"examples": rows()})
    found = view.inputs.tables["examples"]
    assert len(found) == 6
    section = html[html.index('<section id="examples">') :].partition("</section>")[0]
    assert section.count("<h3>") == 2 and section.count("<tr>") == 2 * 3  # a head, two questions
    assert "…" in section and "four -&gt;" in section and "\x07" not in section
    assert "&lt;b&gt;" in section and "4 ↵ 5" in section and "–" in section
    z = view.rows("neurons", metric="z", mask="s6", dataset="alpha")
    strongest = max(z.to_dicts(), key=lambda row: abs(row["value"]))
    listed = section.partition("from the mean: ")[2]
    shown = f"{strongest['layer']}/{strongest['neuron']} ({strongest['value']:+.0f})"
    assert listed.partition("</span>")[0].endswith(shown)


def test_nothing_was_asked(changed):
    _, _, html = changed()
    assert 'id="examples"' not in html

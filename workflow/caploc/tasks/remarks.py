"""Remarks about things: is it praise or blame (part 1), what is it about (part 2)?

One sample (prompt, then answer)::

    The concert was rather boring.
    Opinion:
     negative
"""

from functools import cache

from caploc.samples.paired import held_out_by_main
from caploc.samples.scoring import same_first_word
from caploc.samples.task import Answered, Task

__all__ = ["TASK"]

_TOPICS = {
    "food": ("bread", "cheese", "honey", "pasta"),
    "music": ("song", "concert", "melody", "choir"),
    "sport": ("match", "race", "goal", "contest"),
    "travel": ("hotel", "flight", "cruise", "trip"),
}
_WORDS = {
    "positive": ("wonderful", "pleasant", "excellent", "lovely", "brilliant", "perfect"),
    "negative": ("terrible", "poor", "boring", "horrible", "nasty", "weak"),
}
_VERBS = ("was", "seemed", "became", "is")
_DEGREES = ("", "very ", "rather ", "quite ")
# Two ways to ask for either.
_QUESTIONS = {"1": ("Opinion:", "Verdict:"), "2": ("Topic:", "Subject:")}


@cache
def _population() -> tuple[Answered, ...]:
    samples = []
    for topic, things in _TOPICS.items():
        for thing in things:
            for label, words in _WORDS.items():
                for word in words:
                    for verb in _VERBS:
                        for degree in _DEGREES:
                            main = f"The {thing} {verb} {degree}{word}."
                            samples += _asked(main, {"1": label, "2": topic})
    return tuple(samples)


def _asked(main: str, answers: dict[str, str]) -> list[Answered]:
    return [
        (
            f"{main}\n{question}",
            f" {answers[part]}",
            {"main": main, "part": part, "form": str(form)},
        )
        for part, questions in _QUESTIONS.items()
        for form, question in enumerate(questions)
    ]


TASK = Task(
    title="Remarks: opinion or topic",
    capability="language",
    score=same_first_word,
    generate=lambda rng: rng.choice(_population()),
    population=_population,
    is_held_out=held_out_by_main,
)

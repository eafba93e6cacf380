"""What one completion is worth, whatever the task: right, nearly right, or not even an answer."""

from caploc.samples.scoring import first_word, is_program, number
from caploc.samples.task import Task

__all__ = ["judge"]


def judge(task: Task, answer: str, completion: str) -> dict[str, float]:
    """Score one completion.

    Args:
        task: gives the strict score and the form of an answer.
        answer: gold answer, without the prompt.
        completion: what the model said.

    Returns:
        ``accuracy``: right by the task's own, strict score. ``malformed``: no number, no label, no
        Python program, or no text at all, by the form. By the form also: ``lenient``, the last
        number of both is equal (number); ``bleu``, sentence BLEU with effective order, and
        ``parses`` (program). All 0 to 1.
    """
    scores = {"accuracy": float(task.score(answer, completion))}
    if task.form == "number":
        given = number(completion)
        scores["malformed"] = float(given is None)
        scores["lenient"] = float(given is not None and given == number(answer))
    elif task.form == "label":
        words = {first_word(label) for label in task.labels} or {first_word(answer)}
        scores["malformed"] = float(first_word(completion) not in words)
    elif task.form == "program":
        scores["parses"] = float(is_program(completion))
        scores["malformed"] = 1 - scores["parses"]
        scores["bleu"] = _bleu(answer, completion)
    else:
        scores["malformed"] = float(not completion.strip())
    return scores


def _bleu(answer: str, completion: str) -> float:
    # Here, because only programs need it.
    from sacrebleu import sentence_bleu

    return sentence_bleu(completion, [answer], use_effective_order=True).score / 100

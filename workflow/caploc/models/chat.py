"""Chat templates: a question as an instruct model has learned to read it, and where it stops."""

import hashlib
from typing import Any

from caploc.models.tokens import encode_text
from caploc.records import DataError

__all__ = ["end_tokens", "rendered", "template_digest"]

_MARK = "QZX"


def rendered(tokenizer: Any, question: str, system: str = "") -> str:
    """The text that stands before the answer of the assistant.

    Args:
        tokenizer: with a chat template.
        question: of the user; white space around it is left out.
        system: of the system; "" for none.

    Returns:
        Without the beginning-of-text token, if the tokenizer puts that in front by itself.

    Raises:
        DataError: no template, or one that knows no system text.
    """
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question.strip()})
    text = _applied(tokenizer, messages, add_generation_prompt=True)
    first = tokenizer.bos_token or ""
    adds = encode_text(tokenizer, "a")[0][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(first) if adds else text


def template_digest(tokenizer: Any) -> str | None:
    """SHA-256 of the chat template, 64 hexadecimal digits; None without one."""
    template = getattr(tokenizer, "chat_template", None)
    return hashlib.sha256(str(template).encode()).hexdigest() if template else None


def end_tokens(tokenizer: Any) -> list[int]:
    """The token that ends an answer of the assistant, by the chat template; none without one."""
    if template_digest(tokenizer) is None:
        return []
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _MARK}]
    try:
        after = _applied(tokenizer, turns).rpartition(_MARK)[2]
    except DataError:
        return []
    special = set(tokenizer.all_special_ids)
    return [i for i in encode_text(tokenizer, after, special=False)[0] if i in special][:1]


def _applied(tokenizer: Any, messages: list[dict[str, str]], **options: Any) -> str:
    if template_digest(tokenizer) is None:
        raise DataError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template; take `chat` out of the "
            "task, or choose an instruct model"
        )
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, **options))
    except Exception as error:  # a template is a program
        raise DataError(f"{tokenizer.name_or_path}: chat template: {error}") from None

"""Access tokens: what looks like one, and streams and texts without them."""

import os
import re
from collections.abc import Iterator
from typing import Any, TextIO

__all__ = ["DiscreetStream", "discreet"]

# Whatever stands before and behind it.
_TOKEN = re.compile(r"(?:hf|api_org)_[A-Za-z0-9]{24,}")
_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")


def discreet(text: str) -> str:
    """A text with ``(token)`` in place of everything that looks like a token or is the one set."""
    for secret in _secrets():
        text = text.replace(secret, "(token)")
    return _TOKEN.sub("(token)", text)


def _secrets() -> Iterator[str]:
    for name in _VARIABLES:
        if secret := os.environ.get(name, "").strip():
            yield secret


class DiscreetStream:
    """A stream that writes no tokens, whichever library writes to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text without the tokens in it."""
        self._stream.write(discreet(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

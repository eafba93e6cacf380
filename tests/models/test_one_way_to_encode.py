"""Text becomes token ids in one place: what tokenizers append, pad or cut is handled there."""

import ast
from pathlib import Path

import caploc

ROOT = Path(caploc.__file__).parent
# The first writes text, no ids; the last has a tokenizer of its own, which the run has just built.
ALLOWED = {"models/chat.py", "models/tokens.py", "training/sequences.py"}


def calls_of_tokenizers(path: Path) -> list[int]:
    """Lines that call a tokenizer, or a method of one that encodes."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in (
            "encode", "encode_plus", "batch_encode_plus", "apply_chat_template", "encode_batch",
        ):  # fmt: skip
            called = called.value
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name == "tokenizer":
            found.append(node.lineno)
    return found


def test_nobody_else_calls_a_tokenizer() -> None:
    paths = {p.relative_to(ROOT).as_posix(): p for p in ROOT.rglob("*.py")}
    callers = {name for name, path in paths.items() if calls_of_tokenizers(path)}
    assert callers == ALLOWED


def test_the_check_sees_a_call(tmp_path: Path) -> None:
    for text in ("lm.tokenizer(x)", "tokenizer(x)['input_ids']", "lm.tokenizer.encode(x)"):
        path = tmp_path / "a.py"
        path.write_text(text)
        assert calls_of_tokenizers(path) == [1], text

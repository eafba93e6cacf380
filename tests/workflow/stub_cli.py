"""In place of caploc/cli.py: stages that write a few bytes, for tests of the workflow itself.

What they write depends on the command: a job that was told something else makes other files.
"""

import hashlib
import sys
from pathlib import Path


def main() -> int:
    words = sys.argv[1:]
    content = hashlib.sha256("\0".join(words).encode()).hexdigest()
    kind = ""
    for word in words:
        if word.startswith("--"):
            kind = word
        elif kind == "--output":
            path = Path(word.partition("=")[2])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())

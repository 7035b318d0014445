"""Write the generated parts of the repository; `--check` only says what is out of date (exit 1)."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ares.pipeline.documents import outdated  # noqa: E402 - found through the line above


def main(arguments: list[str]) -> int:
    """Write or compare; the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python tools/generate_docs.py [--check]", file=sys.stderr)
        return 2
    changes = outdated(ROOT)
    for path, content in changes.items():
        print(f"{'out of date' if arguments else 'written'}: {path}")
        if not arguments:
            (ROOT / path).write_text(content)
    return 1 if changes and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

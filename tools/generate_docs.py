"""Write the generated parts of the repository; `--check` only says what is out of date (exit 1).

`--results FILE` first records a whole run of the matrix (`ares networks --target '*' --json-out FILE`).
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ares.cli.interrupts import interruptible  # noqa: E402 - found through the line above
from ares.documents.registry import outdated  # noqa: E402
from ares.documents.run_summary import SUMMARY, SummaryError, summarise  # noqa: E402
from ares.files import write_file  # noqa: E402
from ares.pipeline.catalogue import Zoo  # noqa: E402

USAGE = "usage: python tools/generate_docs.py [--check | --results FILE]"


def main(arguments: list[str]) -> int:
    """Write or compare; the exit code."""
    if arguments in (["-h"], ["--help"]):
        print(f"{USAGE}\n\n{__doc__}")
        return 0
    if arguments[:1] == ["--results"] and len(arguments) == 2:
        try:
            results = Path(arguments[1]).read_text(encoding="utf-8")
            summary = summarise(results, Zoo(ROOT).subjects, date.today())
        except (OSError, UnicodeDecodeError, SummaryError) as error:
            print(f"{arguments[1]}: {error}", file=sys.stderr)
            return 2
        write_file(ROOT / SUMMARY, summary.encode())
    elif arguments not in ([], ["--check"]):
        print(USAGE, file=sys.stderr)
        return 2
    check = arguments == ["--check"]
    changes = outdated(ROOT)
    for path, content in changes.items():
        print(f"{'out of date' if check else 'written'}: {path}")
        if not check:
            write_file(ROOT / path, content.encode())
    return 1 if changes and check else 0


if __name__ == "__main__":
    with interruptible():
        sys.exit(main(sys.argv[1:]))

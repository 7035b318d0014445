"""Say which records of docs/evidence rest on files that have changed since: exit code 1 where one does."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ares.evidence import FOLDER, is_current, read_record  # noqa: E402 - found through the line above


def main() -> int:
    """A line a record, with the command that makes it again; the exit code."""
    outdated = 0
    for path in sorted((ROOT / FOLDER).glob("*.json")):
        record = read_record(ROOT, path.stem)
        assert record is not None
        current = is_current(ROOT, record)
        outdated += not current
        word = "of these files" if current else "of other files"
        print(f"{path.stem:14} {record['date']}  {word}: {record['command']}")
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())

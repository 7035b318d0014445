"""Regenerate goldens: `python tools/regenerate_golden.py [NETWORK ...] [ops] [--check] [--retrain]`.

A thin door to `ares golden`, with the unit cases of `tests/ops` besides: `ops` alone does only those.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ares.cli.interrupts import interruptible

if TYPE_CHECKING:
    from ares.golden.operations import OperationCase


def record() -> "Sequence[OperationCase]":
    """Run the tests of the operations for their cases."""
    from tests.ops.recording import record_operations

    return record_operations()


if __name__ == "__main__":
    with interruptible():
        from ares.cli.door import run_command
        from ares.cli.golden import golden_with_operations

        run_command(golden_with_operations(record))

"""Check whether a model can be mapped to C: `python tools/check_model_compatibility.py --help`.

A thin door to `ares check`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from ares.cli.interrupts import interruptible

    with interruptible():
        from ares.cli.check import check_command
        from ares.cli.door import run_command

        run_command(check_command)

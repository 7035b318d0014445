"""Regenerate goldens: `python tools/regenerate_golden.py [NETWORK ...] [--check] [--retrain]`.

A thin door to `ares golden`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ares.cli.door import run_command
from ares.cli.golden import golden

if __name__ == "__main__":
    run_command(golden)

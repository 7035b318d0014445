"""Regenerate goldens: `python tools/regenerate_golden.py [NETWORK ...] [--check] [--retrain]`.

A thin door to `ares golden`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    import typer

    from ares.cli.golden import golden

    typer.run(golden)

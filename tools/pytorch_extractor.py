"""Extract a trained PyTorch/Brevitas model to a Graph file: `python tools/pytorch_extractor.py --help`.

A thin door to `ares extract`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from ares.cli.interrupts import interruptible

    with interruptible():
        from ares.cli.door import run_command
        from ares.cli.extract import extract_command

        run_command(extract_command)

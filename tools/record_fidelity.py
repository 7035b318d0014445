"""Run the float32 models of the zoo beside the exact integers: `python tools/record_fidelity.py [NETWORK ...]`.

Writes `docs/fidelity.json`, network by network; then `python tools/generate_docs.py`. Exit code 1 where a difference is
unexplained.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ares.cli.interrupts import interruptible  # noqa: E402 - found through the line above
from ares.documents.float32_record import (  # noqa: E402
    RECORD,
    facts,
    read_record,
    with_facts,
)
from ares.files import write_file  # noqa: E402
from ares.pipeline.catalogue import UnknownNetwork, Zoo  # noqa: E402
from ares.pipeline.network import NetworkSubject  # noqa: E402


def main(arguments: list[str]) -> int:
    """Record some networks, or all; the exit code."""
    zoo = Zoo(ROOT)
    try:
        names = [zoo.paths(name).name for name in arguments] or zoo.networks
    except UnknownNetwork as error:
        print(error, file=sys.stderr)
        return 2
    unexplained = 0
    for name in names:
        run = NetworkSubject(zoo.paths(name)).float32
        print(f"{name}: {run}", flush=True)
        for parting in run.partings:
            if parting.unexplained:
                print(f"  {parting.tensor}: {parting}", flush=True)
        unexplained += run.unexplained
        write_file(ROOT / RECORD, with_facts(read_record(ROOT), name, facts(run)).encode())
    return 1 if unexplained else 0


if __name__ == "__main__":
    with interruptible():
        sys.exit(main(sys.argv[1:]))

"""Work for workers that do not come back."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from ares.fuzzer.findings import Finding, Judged

CRASHES, HANGS, FOUND = 13, 21, 5
# Two that cannot be in one process.
ENEMIES = {31, 32}


def ready() -> None:
    """There is nothing to import."""


def work(seeds: Sequence[int], _targets: Sequence[str]) -> tuple[Judged, ...]:
    """Judges nothing; one seed ends its process, another one takes for ever."""
    if CRASHES in seeds:
        os._exit(1)
    if HANGS in seeds:
        time.sleep(600)
    if set(seeds) >= ENEMIES:
        raise ZeroDivisionError
    finding = Finding(FOUND, "torch: difference: OP_ADD", "torch", "it differs")
    return tuple(Judged(seed, finding if seed == FOUND else None, layers=2) for seed in seeds)

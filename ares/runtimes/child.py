"""Models through one runtime, in a process of its own: `python -m ares.runtimes.child ENGINE SETTINGS FOLDER...`.

Each folder holds `model` and inputs `case0.npz` ...; it gets `found0.npz` ..., or `refused`, the runtime's own words. A
folder that got `begun` and nothing else is where the process died.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ares.runtimes.named import load_named, save_named


def main(words: Sequence[str]) -> None:
    """All folders, one after the other."""
    engine, settings, *folders = words
    for folder in map(Path, folders):
        (folder / "begun").touch()
        count = len(list(folder.glob("case*.npz")))
        cases = [load_named(folder / f"case{number}.npz") for number in range(count)]
        try:
            module, _, function = engine.partition(":")
            run = getattr(import_module(module), function)(folder / "model", json.loads(settings))
            found = [run(case) for case in cases]
        except Exception as error:  # noqa: BLE001 - nothing but the runtime runs here: what it raises is its verdict
            (folder / "refused").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
            continue
        for number, arrays in enumerate(found):
            save_named(folder / f"found{number}.npz", arrays)


if __name__ == "__main__":
    main(sys.argv[1:])

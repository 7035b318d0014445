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
        try:
            module, _, function = engine.partition(":")
            run = getattr(import_module(module), function)(folder / "model", json.loads(settings))
            for number in range(len(list(folder.glob("case*.npz")))):
                found = run(load_named(folder / f"case{number}.npz"))
                save_named(folder / f"found{number}.npz", found)
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises is its verdict
            (folder / "refused").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

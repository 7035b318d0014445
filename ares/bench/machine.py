"""On what machine and of what content figures were measured, and the file of records that `--record` keeps."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ares import __version__
from ares.bench.record import FORMAT, Cost
from ares.emit import runtime_files
from ares.ir import content_digest

# Instruction sets that kernels are chosen by, as Linux names them.
_FEATURES = (
    *("ssse3", "sse4_1", "avx2", "avx_vnni", "avx512bw", "avx512_vnni", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "sve", "neon"),
)


class RecordError(ValueError):
    """A file that is no file of records."""


def entry(costs: Sequence[Cost], command: str) -> dict[str, Any]:
    """Figures with all that they depend on, as plain types."""
    return {
        "format": FORMAT,
        "date": date.today().isoformat(),
        "command": command,
        "ares": __version__,
        "runtime": content_digest(runtime_files())[:16],
        "machine": _machine(),
        "costs": [cost.as_json() for cost in costs],
    }


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "features": [name for name in _FEATURES if name in _flags()],
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _flags() -> list[str]:
    found = _cpuinfo()
    return (found.get("flags") or found.get("Features") or "").split()


def _cpuinfo() -> dict[str, str]:
    """What Linux says of its first processor; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    pairs = (line.partition(":") for line in reversed(text.splitlines()))
    return {name.strip(): value.strip() for name, _, value in pairs}


def with_entry(text: str | None, new: dict[str, Any]) -> str:
    """A file of records with one entry more; older figures of the same thing on the same machine go.

    Raises RecordError where `text` is the content of something else.
    """
    entries = [] if text is None else _entries(text)
    fresh = {_what(cost) for cost in new["costs"]}
    kept = []
    for old in entries:
        if old["machine"] == new["machine"]:
            old = {**old, "costs": [cost for cost in old["costs"] if _what(cost) not in fresh]}
        if old["costs"]:
            kept.append(old)
    return json.dumps({"format": FORMAT, "entries": [*kept, new]}, indent=1) + "\n"


def _entries(text: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise RecordError(f"its format is {content['format']!r}, expected {FORMAT!r}")
        entries: list[dict[str, Any]] = content["entries"]
        for each in entries:
            for cost in each["costs"]:
                Cost.from_json(cost)
    except (LookupError, TypeError, ValueError) as error:
        raise RecordError(f"not a file of records: {type(error).__name__}: {error}") from None
    return entries


def _what(cost: dict[str, Any]) -> tuple[str, str]:
    return cost["network"], cost["target"]

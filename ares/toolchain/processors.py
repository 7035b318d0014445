"""What this machine's own processor can do, in the words of its system, and which micro-kernels must then run on it.

The runtime asks the processor itself (runtime/src/microkernels.c). This is the other opinion, so that a program
that falls back to slower kernels than it could run is noticed (`RunFailure`, "instruction set").
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

NATIVE = "native"
"""Of a target: the best instruction set that this machine's processor has."""

# The best first: the runtime's name, and what the system calls what it needs.
_X86 = (
    ("avx512-vnni", ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni")),
    ("avx2", ("avx2",)),
    ("sse4.1", ("sse4_1",)),
    ("portable", ()),
)
_NATIVE = {"x86_64": _X86, "amd64": _X86, "aarch64": (("neon", ("asimd",)),)}


def native_instruction_set() -> str | None:
    """Whose micro-kernels the host's programs must run; None where its system does not say what it can do."""
    features = host_features()
    ladder = _NATIVE.get(platform.machine().lower(), ()) if features else ()
    return next((name for name, needed in ladder if features.issuperset(needed)), None)


def host_lacks(features: Iterable[str]) -> str | None:
    """The first of these features that the processor does not have, or is not known to have."""
    return next((name for name in features if name not in host_features()), None)


def host_features() -> frozenset[str]:
    """What the processor can do, by the names of its system; empty where that does not say."""
    lines = (line.partition(":") for line in _facts())
    named = [words for name, _, words in lines if name.strip() in ("flags", "Features")]
    return frozenset(word for words in named for word in words.split())


@lru_cache
def host_digest() -> str:
    """A digest of what the processor can do, and of its name."""
    facts = _facts()
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16] if facts else "processor"


@lru_cache
def _facts() -> tuple[str, ...]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    return tuple(
        sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    )

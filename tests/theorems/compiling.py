"""From the runtime's sources to what theorems are about: LLVM's language, as clang 19 makes it for a processor."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ares.resources import runtime_dir
from ares.toolchain.process import run_process
from tests.theorems.ir_text import Module, read_module

CLANG = "clang-19"
_HERE = Path(__file__).parent
# Loops stay loops: what follows is told by the numbers in them, which are known.
_FLAGS = (
    "-std=c11",
    "-ffp-contract=off",
    "-O1",
    "-fno-vectorize",
    "-fno-slp-vectorize",
    "-fno-unroll-loops",
)
_TIMEOUT = 120.0
# For processors without an operating system, whose C library is not here: what programs of boards are built with.
_FREESTANDING = ("-isystem", str(runtime_dir() / "boards/common"))


class CannotCompile(Exception):
    """clang refused, or is not there; its own words."""


@dataclass(frozen=True, slots=True)
class Build:
    """A file of `runtime/src`, or `subjects.c`, for a processor.

    `altered`: name of a file, old text, new text. `calls`: a file whose functions it falls back on.
    """

    source: str
    flags: tuple[str, ...] = ()
    altered: tuple[tuple[str, str, str], ...] = ()
    calls: str = ""

    def module(self) -> Module:
        """Compile it. Raises CannotCompile."""
        with tempfile.TemporaryDirectory(prefix="ares-theorem-") as name:
            folder = Path(name)
            root = laid_out(folder, self.altered)
            own = self._compiled(folder, root / "src" / self.source)
            if not self.calls:
                return own
            other = self._compiled(folder, root / "src" / self.calls)
            # Names of constants may be those of the other file: its functions use none.
            return replace(own, functions={**other.functions, **own.functions})

    def _compiled(self, folder: Path, source: Path) -> Module:
        written = (str(source), "-o", "made.ll")
        command = (CLANG, *_FLAGS, *self.flags, "-Irt/inc", "-S", "-emit-llvm", *written)
        finished = run_process(command, folder=folder, timeout=_TIMEOUT)
        if finished.code != 0:
            raise CannotCompile(f"{source.name}: {finished.stderr.strip()}")
        return read_module((folder / "made.ll").read_text(encoding="utf-8"))


def laid_out(folder: Path, altered: Sequence[tuple[str, str, str]] = ()) -> Path:
    """The runtime's headers and sources in a folder, altered as told; every alteration must find its text."""
    root = folder / "rt"
    sources = [*sorted(runtime_dir().glob("inc/*.h")), *sorted(runtime_dir().glob("src/*.c"))]
    texts = {
        f"{path.parent.name}/{path.name}": path.read_text(encoding="utf-8") for path in sources
    }
    texts["src/subjects.c"] = (_HERE / "subjects.c").read_text(encoding="utf-8")
    for name, old, new in altered:
        if old not in texts[name]:
            raise CannotCompile(f"{name} has no {old!r}")
        texts[name] = texts[name].replace(old, new)
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def replay(
    build: Build, function: str, numbers: Mapping[str, Sequence[int]], lo: int, hi: int
) -> list[tuple[int, int]]:
    """What C makes of a counterexample here, a channel: bytes by `ares_rescale_apply` and by the micro-kernel."""
    with tempfile.TemporaryDirectory(prefix="ares-replay-") as name:
        folder = Path(name)
        laid_out(folder, build.altered)
        (folder / "replay.c").write_bytes((_HERE / "replay.c").read_bytes())
        names = (f'-DREPLAYED="{build.source}"', f"-DREPLAYED_FUNCTION={function}")
        command = (
            CLANG,
            "-std=c11",
            "-O1",
            *build.flags,
            *names,
            "-Irt/inc",
            "-Irt/src",
            "replay.c",
            "-o",
            "replay",
        )
        _must(run_process(command, folder=folder, timeout=_TIMEOUT))
        columns = zip(
            *(numbers[key] for key in ("shift", "acc", "multiplier", "offset")), strict=True
        )
        words = [str(number) for column in columns for number in column]
        shown = _must(
            run_process(("./replay", str(lo), str(hi), *words), folder=folder, timeout=_TIMEOUT)
        )
        pairs = [line.split() for line in shown.splitlines()]
        return [(int(first), int(second)) for first, second in pairs]


def _must(finished: object) -> str:
    code, stderr = getattr(finished, "code", None), str(getattr(finished, "stderr", ""))
    if code != 0:
        raise CannotCompile(stderr.strip() or f"ended with {code}")
    return str(getattr(finished, "stdout", ""))


X86_SSE41 = Build("micro_sse41.c")
X86_AVX2 = Build("micro_avx2.c")
X86_AVX512 = Build("micro_avx512.c")
PORTABLE = Build("micro_portable.c")
NEON_64 = Build("micro_neon.c", ("--target=aarch64-none-elf", *_FREESTANDING))
NEON_32 = Build("micro_neon.c", ("--target=armv7a-none-eabihf", "-mfpu=neon", *_FREESTANDING))
WASM = Build(
    "micro_wasm.c",
    ("--target=wasm32-unknown-unknown", "-msimd128", *_FREESTANDING),
    calls="micro_portable.c",
)
SHARED = Build("subjects.c")
SHARED_PORTABLE = Build("subjects.c", ("-DARES_PORTABLE",))
NO_ARITHMETIC_SHIFT = Build("subjects.c", altered=(("inc/numerics.h", "(-1 >> 1) == -1", "0"),))

"""The network of a certificate compiled without ARES, and faults to plant in it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Set
from pathlib import Path

from ares.prover.certificate import certificate_of
from ares.resources import checker_file
from tests.prover.small import SmallSubject, folder_of

FLAGS = ("-O0", "-DARES_PORTABLE", "-U__SSE2__", "-std=c11", "-ffp-contract=off")
PORTABLE = "micro_portable.c"


def compiled(subject: SmallSubject, folder: Path) -> Path:
    """The folder with its certificate and the objects of its runtime."""
    certificate = certificate_of(subject)
    folder_of({**certificate.project.files, **certificate.files}, folder)
    compile_files(folder, [path.name for path in folder.glob("runtime/src/*.c")])
    return folder


def compile_files(folder: Path, names: list[str]) -> None:
    for name in names:
        gcc(folder, "-c", f"runtime/src/{name}", "-o", f"{name}.o")


def gcc(folder: Path, *words: str) -> None:
    include = ("-I.", "-Iruntime/inc", "-Iruntime/trace")
    subprocess.run(["gcc", *FLAGS, *include, *words], cwd=folder, check=True)


def checked(folder: Path) -> tuple[int, dict[str, str]]:
    """Exit code of the checker, and the faults by layer."""
    objects = [path.name for path in folder.glob("*.c.o")]
    gcc(folder, "small.c", "small_weights.c", "probe.c", *objects, "-o", "probe")
    command = [sys.executable, checker_file(), folder, folder / "probe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        return done.returncode, {"": done.stderr}
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {
        each["layer"]: each["faults"][0] for each in found if each["faults"][0]
    }


def require_named(
    built: Path, folder: Path, plant: Callable[[Path], None], layers: Set[str]
) -> None:
    """Of a copy with a fault in it the checker names these layers, and no others."""
    broken = folder / "broken"
    shutil.copytree(built, broken)
    plant(broken)
    code, faults = checked(broken)
    assert code == 1
    assert faults.keys() == layers


def replaced(path: str, old: str, new: str, recompiled: str = "") -> Callable[[Path], None]:
    """A fault: all of `old` in a file becomes `new`, and a source of the runtime is compiled again."""

    def plant(folder: Path) -> None:
        file = folder / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        if recompiled or path.startswith("runtime/src"):
            compile_files(folder, [recompiled or Path(path).name])

    return plant


def number(array: str, index: int, change: int) -> Callable[[Path], None]:
    """A fault: one number of a constant array is another one."""

    def plant(folder: Path) -> None:
        file = folder / "small_weights.c"
        text = file.read_text()
        found = re.search(rf"{array}\[\d+\] = {{([^}}]*)}}", text)
        assert found is not None
        values = [int(value) for value in found[1].split(",") if value.strip()]
        values[index] += change
        body = ", ".join(map(str, values))
        file.write_text(text[: found.start(1)] + body + text[found.end(1) :])

    return plant


def both(*plants: Callable[[Path], None]) -> Callable[[Path], None]:
    """Several changes that are one fault."""

    def plant(folder: Path) -> None:
        for each in plants:
            each(folder)

    return plant


def exchanged(array: str, first: int, second: int, count: int) -> Callable[[Path], None]:
    """A fault: so many weights, which are written as a string, are in the place of others."""

    def plant(folder: Path) -> None:
        file = folder / "small_weights.c"
        text = file.read_text()
        found = re.search(rf"{array}\[\d+\] =([^;]*);", text)
        assert found is not None
        values = re.findall(r"\\[0-7]{3}", found[1])
        a, b = slice(first, first + count), slice(second, second + count)
        assert values[a] != values[b]
        values[a], values[b] = values[b], values[a]
        body = "".join(values)
        file.write_text(f'{text[: found.start(1)]} "{body}"{text[found.end(1) :]}')

    return plant

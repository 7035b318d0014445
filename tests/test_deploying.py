"""docs/deploying-on-a-board.md: the self-test is built and run on the emulated board as the page has it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.examples.commands import run_line, try_line

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "deploying-on-a-board.md"
TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
# Blocks in the page's order: what each is saved as, or "run", or "shown".
USES = ("run", "classify.c", "put.c", "start.c", "board.ld", "run", "shown", "run", "shown")

C_LIBRARY = frozenset({"float", "stddef", "stdint", "string"})
# Headers of compilers, not of a C library: only in the files of an instruction set, only where it is there.
INTRINSICS = frozenset(
    {
        *("arm_acle", "arm_mve", "arm_neon", "riscv_vector", "wasm_simd128"),
        *("cpuid", "immintrin", "smmintrin"),
    }
)

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in _BLOCK.finditer(PAGE.read_text())]


def test_every_block_has_a_use() -> None:
    languages = {"run": "sh", "shown": "text", "board.ld": "ld"}
    assert [language for language, _ in blocks()] == [languages.get(use, "c") for use in USES]
    assert len(USES) == PAGE.read_text().count("```") // 2


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
def test_the_page_works(tmp_path: Path) -> None:
    (tmp_path / "ares").symlink_to(ROOT)
    printed = ""
    for use, (_, text) in zip(USES, blocks(), strict=True):
        if use == "run":
            lines = text.replace("\\\n", " ").splitlines()
            printed = "".join(run(line, tmp_path) for line in lines)
            serial = tmp_path / "uart.txt"
            printed = printed or (serial.read_text() if serial.exists() else "")
        elif use == "shown":
            shows(printed.splitlines(), text.splitlines())
        else:
            (tmp_path / use).write_text(text)
    strict = "-std=c11 -Wall -Wextra -Wpedantic -Werror -Ifirmware -Ifirmware/runtime/inc"
    run_line(f"arm-none-eabi-gcc -mcpu=cortex-m4 {strict} -c classify.c", tmp_path)
    uart = tmp_path / "uart.txt"
    right = uart.read_text()
    last = re.findall(r"output 0 ([0-9a-f]{16})", right)[-1]
    uart.write_text(right.replace(last, last[::-1]))
    code, said = try_line("ares trace uart.txt firmware", tmp_path)
    assert code == 1
    assert "NOT EXACT" in said


def run(line: str, folder: Path) -> str:
    """One line of the page; training is cut short."""
    return run_line(line, folder, *(("--epochs", "1") if line.startswith("python ") else ()))


def shows(found: list[str], expected: list[str]) -> None:
    """Every expected line is there, in this order; `...` stands for anything."""
    __tracebackhide__ = True
    rest = iter(found)
    for line in expected:
        pattern = re.escape(line).replace(re.escape("..."), ".*")
        if pattern != ".*":
            assert any(re.fullmatch(pattern, other.strip()) for other in rest), line


def test_claims_of_the_runtime() -> None:
    """What the kernels take from a C library and from a compiler, and that they hold no state."""
    sources = [path for part in ("src", "inc") for path in (ROOT / "runtime" / part).iterdir()]
    for path in sources:
        used = re.split(
            r"^#if defined\(ARES_MICRO_\w+\)\n", path.read_text(), maxsplit=1, flags=re.M
        )
        of_compiler = (
            INTRINSICS if re.fullmatch(r"(src|inc)/micro_\w+\.[ch]", _place(path)) else frozenset()
        )
        for part, allowed in zip(used, (C_LIBRARY, C_LIBRARY | of_compiler), strict=False):
            assert set(re.findall(r"#\s*include\s*<(\S+)\.h>", part)) <= allowed, path
    text = "\n".join(path.read_text() for path in sources)
    assert set(re.findall(r"\b(mem\w+|str\w+)\(", text)) <= {
        "memcmp",
        "memcpy",
        "memmove",
        "memset",
    }
    assert not re.findall(r"\b(malloc|calloc|realloc|free|printf|alloca|setjmp)\s*\(", text)
    assert not re.findall(r"^\s*static (?!const|inline|_Noreturn)[^()\n]*[=;]", text, re.MULTILINE)
    # At the margin: variables that are not static, pointers to constants among them. One, of x86 alone.
    pointers = re.findall(
        r"^(?!extern|typedef)(?:\w+ )+\*(?!const\b)(\w+)[^()\n]*[=;]", text, re.MULTILINE
    )
    others = re.findall(
        r"^(?!static|typedef|extern|const|return)(?:\w+ )+(\w+)(?:\[.*\])* = ", text, re.M
    )
    assert pointers + others == ["ares_x86_chosen"]


def _place(path: Path) -> str:
    return path.relative_to(ROOT / "runtime").as_posix()

"""Targets of one's own: a compiler given in words, or the rows of a team's TOML file (docs/own-targets.md).

A file is read only where it is named; compilers and runners in it are started. What a row leaves out (byte order,
width of pointers, sign of char, kind of compiler, archiver) the compiler is asked for. Faults of what was written raise
ToolchainError, one line: file, table, key, what was found, what is expected. What is not installed here, or does not
answer, is no fault of the file: such a Target says why it is not `usable`.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from ares.toolchain.boards import board_names
from ares.toolchain.faults import ToolchainError
from ares.toolchain.machines import PYTHON, SEMIHOSTING
from ares.toolchain.process import run_process
from ares.toolchain.rows import FREESTANDING, LINK, SECTIONS, STANDARD
from ares.toolchain.selection import names_matching
from ares.toolchain.target import Char, Family, Machine, Needs, Order, Target, Unknown
from ares.toolchain.targets import TARGETS

COMMAND = "cc"
"""The name of the target that `--cc` gives."""

_HERE = "{here}"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_LARGEST_FILE = 2**20
_Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnTarget:
    """A target as somebody wrote it; None or () where nothing is said.

    `where` begins the messages about it. `folder`: what paths are relative to.
    """

    name: str
    where: str
    folder: Path
    compiler: _Words
    flags: _Words = ()
    link_flags: _Words = ()
    archiver: _Words = ()
    runner: _Words = ()
    board: str | None = None
    description: str = ""
    processor: str | None = None
    byte_order: Order | None = None
    pointer_bits: Literal[32, 64] | None = None
    char: Char | None = None
    family: Family | None = None
    environment: tuple[tuple[str, str], ...] = ()
    trace: Literal["full", "digests"] | None = None
    guarded: bool = False


def command_target(cc: str, runner: str | None = None, board: str | None = None) -> OwnTarget:
    """What `--cc`, `--runner` and `--board` say. Raises ToolchainError."""
    content = {"compiler": cc, "runner": runner, "board": board}
    given = {key: value for key, value in content.items() if value is not None}
    option = {"compiler": "--cc", "runner": "--runner", "board": "--board"}
    return _Row("", COMMAND, Path.cwd(), given, option).written()


def file_targets(path: Path) -> tuple[OwnTarget, ...]:
    """The rows of a file, in its order. Raises ToolchainError."""
    try:
        if not path.is_file():
            raise ToolchainError(f"{path}: no such file, expected TOML with [targets.NAME]")
        if path.stat().st_size > _LARGEST_FILE:
            raise ToolchainError(f"{path}: more than {_LARGEST_FILE} bytes, expected a few rows")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, ToolchainError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise ToolchainError(f"{path}: cannot be read as TOML: {reason}") from None
    for key in content:
        if key != "targets":
            raise ToolchainError(f"{path}: unknown {key!r}, expected tables [targets.NAME] only")
    rows = content.get("targets")
    if not isinstance(rows, dict) or not rows:
        raise ToolchainError(f"{path}: no table [targets.NAME]")
    folder = path.absolute().parent
    return tuple(
        _Row(f"{path}: [targets.{name}]: ", name, folder, row, {}).written()
        for name, row in rows.items()
    )


def chosen_targets(
    patterns: Sequence[str], own: Sequence[OwnTarget]
) -> tuple[Target | OwnTarget, ...]:
    """Of one's own and of ours those whose names match; without patterns all of one's own. Raises ToolchainError."""
    if not patterns:
        return tuple(own)
    both: tuple[Target | OwnTarget, ...] = (*own, *TARGETS)
    table = {target.name: target for target in both}
    return tuple(table[name] for name in names_matching(patterns, list(table)))


@dataclass(frozen=True, slots=True)
class _Row:
    """A table of the file, or the options of a command, to be checked. `option`: what a key is called there."""

    where: str
    name: str
    folder: Path
    content: Any
    option: Mapping[str, str]

    def written(self) -> OwnTarget:
        if not _NAME.fullmatch(self.name):
            self.fail("", f"the name is {self.name!r}, expected letters, digits and . _ + -")
        if self.name in {*(target.name for target in TARGETS), *_reserved(self.option)}:
            self.fail("", f"{self.name} is the name of another target, choose one of your own")
        if not isinstance(self.content, dict):
            self.fail("", "no table, expected compiler, flags and so on")
        for key in self.content:
            if key not in _KEYS:
                near = difflib.get_close_matches(key, _KEYS, n=1)
                known = f"did you mean {near[0]}?" if near else f"known: {', '.join(_KEYS)}"
                self.fail(key, f"unknown key, {known}")
        if "compiler" not in self.content:
            self.fail("compiler", "is missing, expected a command such as arm-none-eabi-gcc -O2")
        words = self.words("compiler")
        if not words:
            self.fail("compiler", "is empty, expected a command such as arm-none-eabi-gcc -O2")
        compiler, first_flags = split_compiler(words)
        runner = self.words("runner")
        board = self.text("board") or _board_of(runner)
        if board is not None and board not in board_names():
            self.fail("board", f"unknown board {board!r}, known: {', '.join(board_names())}")
        if board is None and runner and _is_system_emulator(runner[0]):
            self.fail(
                "runner",
                f"{runner[0]} runs boards, and none of ours is named (-M {' or '.join(board_names())}); "
                "for another give a script of your own that loads the program",
            )
        return OwnTarget(
            name=self.name,
            where=self.where,
            folder=self.folder,
            compiler=self.placed(compiler),
            flags=(*first_flags, *self.words("flags")),
            link_flags=self.words("link_flags"),
            archiver=self.placed(self.words("archiver")),
            runner=self.placed(runner),
            board=board,
            description=self.text("description") or "",
            processor=self.text("processor"),
            byte_order=self.one_of("byte_order", get_args(Order)),
            pointer_bits=self.bits(),
            char=self.one_of("char", get_args(Char)),
            family=self.one_of("family", get_args(Family)),
            environment=self.environment(),
            trace=self.one_of("trace", ("full", "digests")),
            guarded=self.truth("guarded"),
        )

    def fail(self, key: str, what: str) -> NoReturn:
        named = self.option.get(key, key)
        raise ToolchainError(f"{self.where}{f'{named}: ' if named else ''}{what}")

    def text(self, key: str) -> str | None:
        value = self.content.get(key)
        if value is not None and not isinstance(value, str):
            self.fail(key, f"is {value!r}, expected a string")
        return value

    def words(self, key: str) -> _Words:
        """A command: a string as a shell would split it, or a list of words."""
        value = self.content.get(key, [])
        if isinstance(value, str):
            try:
                value = shlex.split(value)
            except ValueError as error:
                self.fail(key, f"{value!r} is no command: {error}")
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.fail(key, f"is {value!r}, expected a string, or a list of strings")
        if any("\0" in word or "\n" in word for word in value):
            self.fail(key, "holds a line break or a zero, expected words")
        return tuple(word.replace(_HERE, str(self.folder)) for word in value)

    def placed(self, words: _Words) -> _Words:
        """With the path of a program that is named by one: commands run in folders of their own."""
        if not words or os.sep not in words[0]:
            return words
        return (str(self.folder / words[0]), *words[1:])

    def one_of(self, key: str, expected: Sequence[str]) -> Any:
        value = self.text(key)
        if value is not None and value not in expected:
            self.fail(key, f"is {value!r}, expected {' or '.join(expected)}")
        return value

    def bits(self) -> Literal[32, 64] | None:
        value = self.content.get("pointer_bits")
        if value is not None and (isinstance(value, bool) or value not in (32, 64)):
            self.fail("pointer_bits", f"is {value!r}, expected 32 or 64")
        return None if value is None else 32 if value == 32 else 64

    def truth(self, key: str) -> bool:
        value = self.content.get(key, False)
        if not isinstance(value, bool):
            self.fail(key, f"is {value!r}, expected true or false")
        return bool(value)

    def environment(self) -> tuple[tuple[str, str], ...]:
        value = self.content.get("environment", {})
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            self.fail("environment", f"is {value!r}, expected a table of strings")
        return tuple((name, text.replace(_HERE, str(self.folder))) for name, text in value.items())


_KEYS = tuple(
    name for name in OwnTarget.__dataclass_fields__ if name not in ("name", "where", "folder")
)


def _reserved(option: Mapping[str, str]) -> tuple[str, ...]:
    """What a row of a file may not be called."""
    return () if option else (COMMAND,)


def split_compiler(words: _Words) -> tuple[_Words, _Words]:
    """The command of a compiler, and its flags: from the first word on that begins with a dash.

    `python -m ziglang cc` is a command.
    """
    if words[1:4] == ("-m", "ziglang", "cc"):
        return (words[0], *PYTHON[1:], *words[1:4]), words[4:]
    count = next((k for k, word in enumerate(words) if word.startswith("-")), len(words))
    return words[: max(count, 1)], words[max(count, 1) :]


def _board_of(runner: _Words) -> str | None:
    """The board that an emulator is told to be, if it is one of ours."""
    for word, following in zip(runner, (*runner[1:], ""), strict=False):
        option, _, value = word.partition("=")
        if option in ("-M", "-machine", "--machine"):
            machine = (value or following).split(",")[0]
            return machine if machine in board_names() else None
    return None


def _is_system_emulator(command: str) -> bool:
    return re.fullmatch(r"qemu-system-\w+", Path(command).name) is not None


# What the compiler is asked.


def resolved(own: OwnTarget) -> Target:
    """The Target, with all that the row leaves to the compiler; `unusable` where that cannot be found out here."""
    try:
        found = _Asked.of(own)
        unusable = ""
    except ToolchainError as error:
        found = _Asked("gcc", "unknown", 0, "unknown", "unknown", ("ar",))
        unusable = str(error)
    machine = _machine(own, found)
    on_board = own.board is not None
    return Target(
        name=own.name,
        family=found.family,
        compiler=own.compiler,
        archiver=found.archiver,
        # Behind ours, so that what was written counts.
        flags=(*STANDARD, *((*FREESTANDING, *SECTIONS) if on_board else ()), *own.flags),
        link_flags=(*(LINK if on_board else ()), *own.link_flags),
        description=own.description or " ".join((*own.compiler, *own.flags)),
        machine=machine,
        needs=Needs(),
        run_environment=own.environment,
        trace=own.trace or ("digests" if machine.runner else "full"),
        guarded=own.guarded,
        unusable=unusable,
    )


def _machine(own: OwnTarget, found: _Asked) -> Machine:
    runner = own.runner
    if own.board is not None:
        ours = next(t.machine for t in TARGETS if t.machine.board == own.board)
        runner = runner or ours.runner
        if _is_system_emulator(runner[0]) and "-semihosting-config" not in runner:
            runner = (*runner, *SEMIHOSTING)
    return Machine(
        own.name,
        found.processor,
        found.byte_order,
        found.pointer_bits,
        found.char,
        runner,
        own.board,
        tells_version=not runner,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a compiler says of itself and of what it compiles for."""

    family: Family
    byte_order: Order | Unknown
    pointer_bits: Literal[0, 32, 64]
    char: Char | Unknown
    processor: str
    archiver: _Words

    @classmethod
    def of(cls, own: OwnTarget) -> _Asked:
        """Raises ToolchainError, one line, where it cannot be started, or says too little and the row does as well."""
        macros = dict(_DEFINE.findall(_answer(own, "-dM", "-E", "empty.c")))
        family = own.family or _family(own.compiler, macros)
        order = own.byte_order or _ORDERS.get(macros.get("__BYTE_ORDER__", ""))
        size = macros.get("__SIZEOF_POINTER__")
        bits = own.pointer_bits or _BITS.get(size or "")
        char = own.char or ("unsigned" if "__CHAR_UNSIGNED__" in macros else "signed")
        if size is not None and bits is None:
            raise ToolchainError(f"pointers of {size} bytes, expected 4 or 8")
        if family is None or order is None or bits is None or not (own.char or macros):
            raise ToolchainError(
                f"{own.compiler[0]} does not say what it compiles for (-dM -E): give family, byte_order, "
                "pointer_bits and char"
            )
        processor = own.processor or _answer(own, "-dumpmachine").strip() or "as compiled for"
        return cls(family, order, bits, char, processor, own.archiver or _archiver(own, family))


_DEFINE = re.compile(r"^#define (\w+) (.*?)\s*$", re.MULTILINE)
_BITS: Mapping[str, Literal[32, 64]] = {"4": 32, "8": 64}
_ORDERS: Mapping[str, Order] = {
    "__ORDER_LITTLE_ENDIAN__": "little",
    "__ORDER_BIG_ENDIAN__": "big",
    "1234": "little",
    "4321": "big",
}


def _family(compiler: _Words, macros: Mapping[str, str]) -> Family | None:
    if "__TINYC__" in macros:
        return "tcc"
    if "__clang__" in macros:
        names = {Path(word).name for word in compiler}
        return "zig" if compiler[-1] == "cc" and names & {"zig", "ziglang"} else "clang"
    return "gcc" if "__GNUC__" in macros else None


def _archiver(own: OwnTarget, family: Family) -> _Words:
    """The one that belongs to the compiler, by its own word."""
    if family == "zig":
        return (*own.compiler[:-1], "ar")
    said = _answer(own, "-print-prog-name=ar").strip() if family != "tcc" else ""
    return (said or "ar",)


def _answer(own: OwnTarget, *question: str) -> str:
    """What a compiler prints; "" where it refuses the question. Raises ToolchainError where it cannot be started."""
    with tempfile.TemporaryDirectory(prefix="ares-") as name:
        folder = Path(name)
        (folder / "empty.c").touch()
        try:
            finished = run_process(
                (*own.compiler, *own.flags, *question), folder=folder, timeout=60
            )
        except OSError as error:
            raise ToolchainError(f"cannot start {own.compiler[0]}: {error.strerror}") from error
    if finished.code == 0:
        return finished.stdout
    if question[-1] != "empty.c":
        return ""
    lines = [line for line in finished.stderr.splitlines() if line.strip()] or ["no message"]
    first = next((line for line in lines if "error" in line), lines[0])
    raise ToolchainError(f"{own.compiler[0]} refuses an empty file: {first.strip()}")

"""Targets of one's own: what is written, what the compiler is asked, what is tried before anything is judged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ares.pipeline.trial import NoTarget, named_targets, tried
from ares.toolchain import TARGETS, Target, ToolchainError
from ares.toolchain.own_targets import chosen_targets, command_target, file_targets, split_compiler
from tests.cli.commands import host, need, script
from tests.toolchain.tiny_network import any_target

CORTEX_M4 = "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -O2"
S390X = "s390x-linux-gnu-gcc -static -O2"


def write(folder: Path, text: str) -> Path:
    path = folder / "targets.toml"
    path.write_text(text)
    return path


# --- what is written


def test_a_row_in_full(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [targets.m33-release]
        compiler = ["./bin/my gcc", "-mcpu=cortex-m33"]
        flags = "-O2 '-DNAME=a b' -I{here}/inc"
        link_flags = ["-T", "{here}/own.ld"]
        archiver = "llvm-ar"
        runner = "tools/run.sh --port 3"
        description = "our board"
        processor = "Cortex-M33"
        byte_order = "little"
        pointer_bits = 32
        char = "unsigned"
        family = "gcc"
        trace = "full"
        guarded = true
        environment = { ROOT = "{here}" }
        """,
    )
    (own,) = file_targets(path)
    assert own.name == "m33-release"
    assert own.compiler == (
        f"{tmp_path}/bin/my gcc".replace("/bin", "/./bin"),
    ) or own.compiler == (str(tmp_path / "bin" / "my gcc"),)
    assert own.flags == ("-mcpu=cortex-m33", "-O2", "-DNAME=a b", f"-I{tmp_path}/inc")
    assert own.link_flags == ("-T", f"{tmp_path}/own.ld")
    assert own.archiver == ("llvm-ar",)
    assert own.runner == (str(tmp_path / "tools" / "run.sh"), "--port", "3")
    assert (own.processor, own.byte_order, own.pointer_bits) == ("Cortex-M33", "little", 32)
    assert (own.char, own.family, own.trace, own.guarded) == ("unsigned", "gcc", "full", True)
    assert own.environment == (("ROOT", str(tmp_path)),)


BAD_FILES = [
    ("", "no table [targets.NAME]"),
    ("x = 1", "unknown 'x', expected tables [targets.NAME] only"),
    ("targets = 3", "no table [targets.NAME]"),
    ("[targets]\na = 3", "[targets.a]: no table, expected compiler, flags"),
    ("[targets.a]\n[targets.a]", "cannot be read as TOML: "),
    ("[targets.a]\ncompiler = ", "cannot be read as TOML: "),
    ("[targets.a]", "[targets.a]: compiler: is missing, expected a command"),
    ("[targets.a]\ncompiler = ''", "[targets.a]: compiler: is empty, expected a command"),
    ("[targets.a]\ncompiler = 3", "[targets.a]: compiler: is 3, expected a string, or a list"),
    ("[targets.a]\ncompiler = ['gcc', 3]", "compiler: is ['gcc', 3], expected a string, or a list"),
    ('[targets.a]\ncompiler = "gcc \'a"', 'compiler: "gcc \'a" is no command: No closing'),
    ("[targets.'a b']\ncompiler = 'gcc'", "the name is 'a b', expected letters, digits"),
    ("[targets.'../a']\ncompiler = 'gcc'", "the name is '../a', expected letters, digits"),
    ("[targets.tcc]\ncompiler = 'gcc'", "[targets.tcc]: tcc is the name of another target"),
    ("[targets.cc]\ncompiler = 'gcc'", "[targets.cc]: cc is the name of another target"),
]
BAD_KEYS = [
    ('flags = ["a\\nb"]', "flags: holds a line break"),
    ("flag = '-O2'", "flag: unknown key, did you mean flags?"),
    ("zzz = 1", "zzz: unknown key, known: compiler, flags,"),
    ("where = 'x'", "where: unknown key"),
    ("byte_order = 'middle'", "byte_order: is 'middle', expected little or big"),
    ("pointer_bits = 16", "pointer_bits: is 16, expected 32 or 64"),
    ("pointer_bits = true", "pointer_bits: is True, expected 32 or 64"),
    ("char = 1", "char: is 1, expected a string"),
    ("family = 'msvc'", "family: is 'msvc', expected gcc or clang or zig or tcc"),
    ("guarded = 1", "guarded: is 1, expected true or false"),
    ("environment = ['A']", "environment: is ['A'], expected a table of strings"),
    ("board = 'mps2-an387'", "board: unknown board 'mps2-an387', known: mps2-an386,"),
    ("runner = 'qemu-system-arm -M x'", "runner: qemu-system-arm runs boards, and none of ours"),
]
BAD = [
    *BAD_FILES,
    *((f"[targets.a]\ncompiler = 'gcc'\n{row}", f"[targets.a]: {says}") for row, says in BAD_KEYS),
]


@pytest.mark.parametrize(("text", "says"), BAD, ids=range(len(BAD)))
def test_what_is_wrong_is_one_line_with_file_table_and_key(
    text: str, says: str, tmp_path: Path
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ToolchainError) as caught:
        file_targets(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    (tmp_path / "large").write_bytes(b"#" * (2**20 + 1))
    for name, says in (
        ("absent", "no such file"),
        (".", "no such file"),
        ("binary", "cannot be read as TOML"),
        ("large", "more than 1048576 bytes"),
    ):
        with pytest.raises(ToolchainError, match=says):
            file_targets(tmp_path / name)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("gcc -O2 x", "gcc"),
        ("ccache gcc -O2", "ccache gcc"),
        ("zig cc -target x", "zig cc"),
        ("/a/python3 -m ziglang cc -O2", "/a/python3 -P -m ziglang cc"),
        ("gcc", "gcc"),
        ("-odd -O2", "-odd"),
    ],
)
def test_where_a_command_ends_and_flags_begin(words: str, command: str) -> None:
    first, flags = split_compiler(tuple(words.split()))
    assert " ".join(first) == command
    assert [word for word in (*first, *flags) if word != "-P"] == words.split()


def test_a_board_is_known_by_the_emulators_machine() -> None:
    for runner in ("qemu-system-arm -M mps2-an386", "qemu-system-arm -machine mps2-an386,x=y"):
        assert command_target("gcc", runner).board == "mps2-an386"
    assert command_target("gcc", "qemu-arm -M mps2").board is None
    with pytest.raises(ToolchainError, match="--runner: qemu-system-arm runs boards, and none"):
        command_target("gcc", "qemu-system-arm -M mps2-an505")
    assert command_target("gcc", "./qemu-system-arm.sh -M x").board is None


# --- which are chosen


def test_patterns_choose_among_own_and_ours(tmp_path: Path) -> None:
    rows = "".join(f"[targets.{name}]\ncompiler = 'gcc'\n" for name in ("own-a", "own-b"))
    own = (*file_targets(write(tmp_path, rows)), command_target("gcc"))
    assert [t.name for t in chosen_targets((), own)] == ["own-a", "own-b", "cc"]
    assert [t.name for t in chosen_targets(("own-*", "tcc"), own)] == ["own-a", "own-b", "tcc"]
    with pytest.raises(ToolchainError, match="unknown target 'own-c'; nearest: own-"):
        chosen_targets(("own-c",), own)
    assert named_targets(("tcc",)) == tuple(t for t in TARGETS if t.name == "tcc")


def test_runner_and_board_go_with_a_compiler() -> None:
    for given in ({"runner": "qemu-arm"}, {"board": "mps2-an386"}):
        with pytest.raises(ToolchainError, match="go with --cc"):
            named_targets(**given)


# --- what the compiler is asked


def one(cc: str, runner: str | None = None, board: str | None = None) -> Target:
    (target,) = tried([command_target(cc, runner, board)])
    return target


def test_the_host(tmp_path: Path) -> None:
    target = one(host())
    ours = any_target()
    assert target.unusable == ""
    assert target.missing() is None
    machine = target.machine
    assert machine.byte_order == ours.machine.byte_order == sys.byteorder
    assert machine.pointer_bits == ours.machine.pointer_bits
    assert machine.tells_version
    assert target.trace == "full"
    assert target.flags[-1] == "-O1"


def test_a_big_endian_processor_says_so() -> None:
    need("s390x-linux-gnu-gcc", "qemu-s390x")
    target = one(S390X, "qemu-s390x")
    assert target.unusable == ""
    machine = target.machine
    assert (machine.byte_order, machine.pointer_bits, machine.char) == ("big", 64, "unsigned")
    assert machine.isa == "s390x-linux-gnu"
    assert target.archiver[0].endswith("s390x-linux-gnu/bin/ar")
    assert target.trace == "digests"
    # What runs it could be another tomorrow, and not even say so: nothing is kept.
    assert not machine.tells_version


def test_a_board() -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    target = one(CORTEX_M4, "qemu-system-arm -M mps2-an386")
    assert target.unusable == ""
    machine = target.machine
    assert (machine.byte_order, machine.pointer_bits, machine.board) == ("little", 32, "mps2-an386")
    ours = next(t.machine for t in TARGETS if t.machine.board == "mps2-an386")
    assert machine.runner == ours.runner == one(CORTEX_M4, board="mps2-an386").machine.runner


def test_what_is_written_counts_more_than_what_is_asked(tmp_path: Path) -> None:
    text = f"[targets.a]\ncompiler = '{host()}'\nprocessor = 'P'\nchar = 'unsigned'\n"
    (target,) = tried(file_targets(write(tmp_path, text)))
    assert (target.machine.isa, target.machine.char) == ("P", "unsigned")


# --- what cannot be used: one line, and not the C's fault


def unusable(target: Target) -> str:
    assert target.unusable
    assert "\n" not in target.unusable
    assert target.missing() == target.unusable
    return target.unusable


def test_no_compiler() -> None:
    target = one("nonesuch-gcc -O2")
    assert unusable(target) == "cannot start nonesuch-gcc: No such file or directory"
    assert (target.machine.byte_order, target.machine.pointer_bits) == ("unknown", 0)


def test_a_flag_that_the_compiler_does_not_know() -> None:
    need("gcc")
    assert "unrecognized command-line option" in unusable(one("gcc -fno-such-thing"))


def test_a_compiler_that_says_nothing(tmp_path: Path) -> None:
    quiet = script(tmp_path, "quiet-cc", "exit 0")
    assert "does not say what it compiles for (-dM -E): give family" in unusable(one(str(quiet)))


def test_pointers_of_another_width(tmp_path: Path) -> None:
    odd = script(tmp_path, "odd-cc", "echo '#define __SIZEOF_POINTER__ 2'")
    assert "pointers of 2 bytes, expected 4 or 8" in unusable(one(str(odd)))


def test_floating_point_that_is_none() -> None:
    need("gcc")
    assert "build without -ffast-math" in unusable(one("gcc -O2 -ffast-math"))


def test_programs_that_this_machine_cannot_run() -> None:
    need("s390x-linux-gnu-gcc")
    said = unusable(one(S390X))
    assert said.startswith("this machine does not run what it built: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exit 0", "truncated"),
        ("exit 3", "crash: exit code 3"),
        ("echo hello; exit 0", "malformed"),
        ('"$@" | head -n 3', "truncated"),
        ("kill -9 $$", "killed"),
        ("rm -f input; exec \"$@\"", "crash"),
    ],
)  # fmt: skip
def test_a_runner_that_does_not_work(text: str, says: str, tmp_path: Path) -> None:
    runner = script(tmp_path, "run.sh", text)
    said = unusable(one(host(), str(runner)))
    assert said.startswith(f"{runner} does not run what it built: ")
    assert says in said


def test_a_runner_that_works_and_knows_no_version(tmp_path: Path) -> None:
    runner = script(tmp_path, "run.sh", '[ $# = 4 ] || exit 9; exec "$@"')
    assert one(host(), str(runner)).unusable == ""


def test_a_wrong_byte_order_in_the_file(tmp_path: Path) -> None:
    other = {"little": "big", "big": "little"}[sys.byteorder]
    text = f"[targets.a]\ncompiler = '{host()}'\nbyte_order = '{other}'\n"
    (target,) = tried(file_targets(write(tmp_path, text)))
    assert f"should be {other}-endian" in unusable(target)


def test_all_unusable_is_no_target_and_one_of_two_is_a_target(tmp_path: Path) -> None:
    text = f"[targets.a]\ncompiler = 'nonesuch-gcc'\n[targets.b]\ncompiler = '{host()}'\n"
    path = write(tmp_path, text)
    found = named_targets(targets_file=path)
    assert [bool(target.unusable) for target in found] == [True, False]
    with pytest.raises(NoTarget, match=r"^a: cannot start nonesuch-gcc"):
        named_targets(("a",), targets_file=path)

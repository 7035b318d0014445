"""The toolchain builds what it was given, once, and says which compiler is missing or refused."""

import importlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ares.ir import Project
from ares.toolchain import (
    TARGETS,
    BuildFailure,
    Cache,
    Needs,
    ToolchainError,
    build,
    recipe_of,
    run,
    select,
)
from ares.toolchain import cache as cache_module
from ares.toolchain.build import LIBRARY, PROGRAM, failed_part
from ares.toolchain.cache import KEPT_DAYS, default_root
from ares.toolchain.process import run_process
from tests.toolchain.fake_tools import tool
from tests.toolchain.tiny_network import (
    IGNORE,
    any_target,
    case,
    oracle,
    run_one,
    tiny_project,
    usable,
)

VERSION = 'case "$1" in --version) echo "gcc 99";; esac'


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of this process's own, so that a run starts from nothing; zig's C library is shared."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zig = os.environ.get("ZIG_GLOBAL_CACHE_DIR", str(default_root() / "zig"))
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", zig)
    monkeypatch.setenv("ARES_CACHE_DIR", str(shared_cache))


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Every command that `build` starts."""
    commands: list[tuple[str, ...]] = []

    def counted(command: tuple[str, ...], **options: Any) -> Any:
        commands.append(command)
        return run_process(command, **options)

    # The package's attribute of that name is the function.
    monkeypatch.setattr(importlib.import_module("ares.toolchain.build"), "run_process", counted)
    return commands


def commands_for(project: Project) -> int:
    """Each source of the runtime becomes an object; then the archive, and the program with the network's sources."""
    own = {*project.sources, project.main}
    return len([path for path in project.files if path.endswith(".c") and path not in own]) + 2


# --- built once, and anew when anything changed


def test_second_build_compiles_nothing(
    empty_cache: Path, compilations: list[tuple[str, ...]]
) -> None:
    target, project = any_target(), tiny_project()
    told: list[str] = []
    first = build(project, target, progress=told.append)
    count = len(compilations)
    assert count == len(first.recipe.commands) == commands_for(project)
    assert [line for line in told if "tiny" in line]
    made = first.path.stat().st_mtime_ns
    assert build(project, target, progress=told.append) == first
    assert len(compilations) == count
    assert first.path.stat().st_mtime_ns == made


def test_one_byte_of_the_network_rebuilds_the_program_alone(
    empty_cache: Path, compilations: list[tuple[str, ...]]
) -> None:
    target, project = any_target(), tiny_project()
    first = build(project, target)
    compilations.clear()
    source = project.files["tiny.c"].replace(b"{1, -2, 3, 4,", b"{1, -2, 3, 5,")
    changed = tiny_project(changes={"tiny.c": source})
    second = build(changed, target)
    assert compilations == [second.recipe.commands[-1]]
    assert second.recipe.signature != first.recipe.signature
    (trace,) = run(second, changed, [case(1, 2, 3, 4)])
    assert trace.tensors["hidden"].tolist() != [oracle((1, 2, 3, 4))[0]]


def test_one_byte_of_the_runtime_rebuilds_everything(
    empty_cache: Path, compilations: list[tuple[str, ...]]
) -> None:
    target, project = any_target(), tiny_project()
    build(project, target)
    count = len(compilations)
    header = project.files["runtime/inc/dot.h"] + b"\n"
    build(tiny_project(changes={"runtime/inc/dot.h": header}), target)
    assert len(compilations) == 2 * count


def test_other_flags_are_another_build() -> None:
    target, project = any_target(), tiny_project()
    other = replace(target, flags=(*target.flags, "-DOTHER"))
    assert recipe_of(project, target).signature != recipe_of(project, other).signature


def _truncate(program: Path) -> None:
    os.truncate(program, program.stat().st_size // 2)


def _flip(program: Path) -> None:
    data = bytearray(program.read_bytes())
    data[-1] ^= 1
    program.write_bytes(data)


def _spoil_record(program: Path) -> None:
    (program.parent / "record.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize("damage", [_truncate, _flip, _spoil_record, Path.unlink])
def test_damaged_entry_is_rebuilt(
    empty_cache: Path, compilations: list[tuple[str, ...]], damage: Callable[[Path], None]
) -> None:
    target, project = any_target(), tiny_project()
    first = build(project, target)
    compilations.clear()
    damage(first.path)
    assert build(project, target) == first
    assert compilations == [first.recipe.commands[-1]]
    assert run(first, project, [case(1, 2, 3, 4)])
    assert not list((empty_cache / "staging").iterdir())


def test_two_processes_build_once(empty_cache: Path, tmp_path: Path) -> None:
    target = any_target()
    pickled = tmp_path / "project"
    pickled.write_bytes(pickle.dumps(tiny_project()))
    script = (
        "import pickle, sys, pathlib, ares.toolchain as t\n"
        "project = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "print(t.build(project, t.select([sys.argv[2]])[0], progress=print).path)\n"
    )
    command = [sys.executable, "-c", script, str(pickled), target.name]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(3)
    ]
    shown = [child.communicate(timeout=300)[0].splitlines() for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len({lines[-1] for lines in shown}) == 1
    steps = [line for lines in shown for line in lines[:-1]]
    assert sorted(steps) == sorted(
        [f"{target.name}: compiling the runtime", f"{target.name}: compiling tiny"]
        + [line for line in steps if "C library" in line]
    )


def test_unused_entries_are_dropped(empty_cache: Path) -> None:
    target = any_target()
    old = build(tiny_project(), target).path
    long_ago = time.time() - (KEPT_DAYS + 1) * 24 * 3600
    os.utime(old.parent / "record.json", (long_ago, long_ago))
    (empty_cache / "cleaned").unlink()
    new = build(tiny_project(kernel=f"{IGNORE} return ARES_OK;"), target).path
    assert not old.exists()
    assert new.exists()


def test_threads_share_a_cache(empty_cache: Path, compilations: list[tuple[str, ...]]) -> None:
    target, project = any_target(), tiny_project()
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(build(project, target).path)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert len(compilations) == commands_for(project)


# --- what the compiler refuses, or is not there


def test_compile_error_names_the_command_and_keeps_the_files(empty_cache: Path) -> None:
    target = any_target()
    with pytest.raises(BuildFailure) as caught:
        build(tiny_project("return nonsense;"), target)
    failure = caught.value
    assert failure.target == target.name
    assert "nonsense" in failure.stderr
    assert pickle.loads(pickle.dumps(failure)).command == failure.command
    line = str(failure).splitlines()[-1].removeprefix("to repeat it: ")
    repeated = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert repeated.returncode != 0
    assert "nonsense" in repeated.stderr
    entries = list((empty_cache / f"program-{target.name}").glob("*"))
    assert not entries  # nothing half built


BROKEN = {
    "the network's": (tiny_project("return nonsense;"), True),
    "the runtime's": (tiny_project(changes={"runtime/src/linear.c": b"nonsense"}), False),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_part_that_failed_fails_alone(empty_cache: Path, tmp_path: Path, name: str) -> None:
    """What a folder with a reproduction holds: the one command, and the library where it takes that."""
    (project, linked), target = BROKEN[name], any_target()
    with pytest.raises(BuildFailure) as caught:
        build(project, target)
    part = failed_part(recipe_of(project, target), caught.value)
    assert not part.whole
    assert part.commands == (caught.value.command,)
    assert (LIBRARY in part.files) == linked
    for path, content in part.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    finished = run_process(part.program, folder=tmp_path, timeout=60)
    assert finished.code not in (0, None)
    assert "nonsense" in finished.stderr


def test_a_recipe_makes_the_program_in_an_empty_folder(tmp_path: Path) -> None:
    target, project = any_target(), tiny_project()
    binary = build(project, target)
    recipe = binary.recipe
    assert recipe.whole
    assert recipe == recipe_of(project, target)
    for path, content in recipe.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    for command in recipe.commands:
        finished = run_process(command, folder=tmp_path, timeout=60)
        assert finished.code == 0, finished.stderr
    (trace,) = run(replace(binary, path=tmp_path / PROGRAM), project, [case(1, 2, 3, 4)])
    assert trace.outputs[0].tolist() == [oracle((1, 2, 3, 4))[1]]


def test_warnings_are_errors() -> None:
    with pytest.raises(BuildFailure, match="unused"):
        build(tiny_project(f"{IGNORE} int32_t unused = 1; return ARES_OK;"), any_target())


def test_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    gcc, zig = select(["gcc-O2", "zig-O2"])
    assert gcc.missing() == "gcc is not on the PATH (Debian: apt-get install gcc libc6-dev)"
    assert zig.missing() is None
    with pytest.raises(ToolchainError, match="gcc-O2: gcc is not on the PATH"):
        build(tiny_project(), gcc)


@pytest.mark.slow
def test_zig_needs_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    zig = usable("zig-O2")
    monkeypatch.setenv("PATH", "")
    assert run_one(tiny_project(main=tiny_project().files["main.c"].decode() + "\n"), zig)


def test_missing_sanitizer_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = 'case "$*" in *sanitize*) echo "ld: cannot find libasan" >&2; exit 1;; esac'
    tool(tmp_path, "gcc", f"{VERSION}\n{refuses}")
    tool(tmp_path, "ar", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    plain, sanitizers = select(["gcc-O2", "gcc-asan"])
    assert plain.missing() is None
    assert "cannot find libasan" in str(sanitizers.missing())


def test_missing_runner_and_package_are_named() -> None:
    runner = Needs(commands=("qemu-nowhere",), debian=("qemu-user",))
    machine = replace(any_target().machine, runner=("qemu-nowhere",), needs=runner)
    target = replace(any_target(), machine=machine, needs=Needs())
    assert target.missing() == "qemu-nowhere is not on the PATH (Debian: apt-get install qemu-user)"
    target = replace(any_target(), needs=Needs(modules=("nopackage",), pip=("no-package",)))
    absent = "the Python package nopackage is not installed (pip install no-package)"
    assert target.missing() == absent
    with pytest.raises(ToolchainError, match="nopackage is not installed"):
        target.compiler_identity()


def test_a_compiler_or_a_runner_that_does_not_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the PATH and marked as a program is not yet a program."""
    for name in ("gcc", "ar"):
        tool(tmp_path, name, VERSION)
    tool(tmp_path, "qemu-mute", "exit 127")
    (tmp_path / "qemu-broken").write_text("#!/no/such/interpreter\n", encoding="utf-8")
    (tmp_path / "qemu-broken").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (gcc,) = select(["gcc-O2"])
    assert gcc.missing() is None
    for runner, says in (
        ("qemu-broken", f"cannot start {tmp_path}/qemu-broken: No such file or directory"),
        ("qemu-mute", f"{tmp_path}/qemu-mute --version does not tell its version"),
    ):
        machine = replace(gcc.machine, runner=(runner,), needs=Needs(commands=(runner,)))
        assert replace(gcc, machine=machine).missing() == f"{says} ({gcc.install})"
    tool(tmp_path, "gcc-silent", "")
    assert "does not tell its version" in str(replace(gcc, compiler=("gcc-silent",)).missing())


def test_select() -> None:
    names = [target.name for target in TARGETS]
    assert [t.name for t in select(["*"])] == names
    found = [t.name for t in select(["zig-*", "gcc-O[02]", "gcc-O2"])]
    assert found == [n for n in names if n.startswith("zig-") or n in ("gcc-O0", "gcc-O2")]
    assert {"gcc-O0", "gcc-O2", "zig-O2"} < set(found)
    assert not select([])
    with pytest.raises(ToolchainError, match=r"unknown target 'gcc-O9'; nearest: gcc-O.*lists all"):
        select(["gcc-O2", "gcc-O9"])
    with pytest.raises(ToolchainError, match="unknown target ''"):
        select([""])


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(ToolchainError, match="set ARES_CACHE_DIR"):
        build(tiny_project(), any_target())


# --- contents of another kind in the same cache


def test_a_kept_content_is_replaced_found_and_forgotten(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.find("verdict", "aa", "verdict.json") is None
    for content in (b"first", b"second"):
        path = cache.put("verdict", "aa", "verdict.json", content)
        assert path.read_bytes() == content
        assert cache.find("verdict", "aa", "verdict.json") == path
    path.write_bytes(b"SECOND")
    assert cache.find("verdict", "aa", "verdict.json") is None
    cache.put("verdict", "aa", "verdict.json", b"third")
    cache.drop("verdict", "bb")
    assert cache.find("verdict", "aa", "verdict.json") is not None
    cache.drop("verdict", "aa")
    assert cache.find("verdict", "aa", "verdict.json") is None
    assert not list((tmp_path / "staging").iterdir())


def test_an_entry_that_another_process_clears_away_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daily clearing looks at folders that their owners may remove at any moment."""
    cache = Cache(tmp_path)
    (tmp_path / "staging" / "others").mkdir(parents=True)
    seen: list[Path] = []
    last_use = cache_module._last_use

    def vanishing(path: Path, now: float) -> float:
        if path.name == "others":
            path.rmdir()
            seen.append(path)
        return last_use(path, now)

    monkeypatch.setattr(cache_module, "_last_use", vanishing)
    cache.put("verdict", "aa", "verdict.json", b"content")
    assert [path.name for path in seen] == ["others"]

"""What is kept is kept under all that it was made with: tools, libraries and variables, not versions alone."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ares.toolchain import BuildFailure, Target, build, select
from ares.toolchain import ingredients as module
from ares.toolchain.build import recipe_of
from ares.toolchain.ingredients import build_ingredients, run_ingredients
from tests.toolchain.tiny_network import any_target, tiny_project

Patch = pytest.MonkeyPatch


@pytest.fixture
def gcc(tmp_path: Path, monkeypatch: Patch) -> Target:
    """A gcc whose assembler and linker are in a folder of our own."""
    (target,) = select(["gcc-O2"])
    if target.missing() is not None:
        pytest.skip(f"needs gcc: {target.missing()}")
    parts = tmp_path / "parts"
    parts.mkdir()
    for tool in ("as", "ld"):
        script = f'#!/bin/sh\nexec {shutil.which(tool)} "$@"\n'
        (parts / tool).write_text(script, encoding="utf-8")
        (parts / tool).chmod(0o755)
    module._part_paths.cache_clear()
    return replace(target, compiler=("gcc", f"-B{parts}/"))


def _touched(path: Path) -> None:
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))


@pytest.mark.parametrize("tool", ["as", "ld"])
def test_another_assembler_or_linker_is_another_build(
    gcc: Target, tmp_path: Path, tool: str
) -> None:
    """Same compiler, same version, same place: and what it starts is another one."""
    part = tmp_path / "parts" / tool
    assert any(fact.startswith(f"{part} ") for fact in build_ingredients(gcc))
    project = tiny_project()
    before = recipe_of(project, gcc).signature
    assert recipe_of(project, gcc).signature == before
    part.write_text(f"# another\n{part.read_text(encoding='utf-8')}", encoding="utf-8")
    assert recipe_of(project, gcc).signature != before


@pytest.mark.parametrize("library", ["libc.a", "libgcc.a", "crt1.o"])
def test_the_libraries_are_part_of_a_build(library: str) -> None:
    (target,) = select(["gcc-O2"])
    if target.missing() is not None:
        pytest.skip(f"needs gcc: {target.missing()}")
    assert any(f"/{library} " in fact for fact in build_ingredients(target))


@pytest.mark.parametrize("name", ["CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH"])
def test_a_file_in_a_searched_folder_is_another_build(
    name: str, tmp_path: Path, monkeypatch: Patch
) -> None:
    target, project = any_target(), tiny_project()
    before = {recipe_of(project, target).signature}
    (tmp_path / "stdint.h").write_text("one", encoding="utf-8")
    monkeypatch.setenv(name, str(tmp_path))
    before.add(recipe_of(project, target).signature)
    (tmp_path / "stdint.h").write_text("three", encoding="utf-8")
    module._files_below.cache_clear()  # a process looks once
    before.add(recipe_of(project, target).signature)
    (tmp_path / "new.h").touch()
    module._files_below.cache_clear()
    before.add(recipe_of(project, target).signature)
    assert len(before) == 4


@pytest.mark.parametrize("name", ["GCC_EXEC_PREFIX", "SOURCE_DATE_EPOCH", "LDEMULATION", "NIX_X"])
def test_a_variable_that_compilers_read_is_another_build(name: str, monkeypatch: Patch) -> None:
    target, project = any_target(), tiny_project()
    before = recipe_of(project, target).signature
    monkeypatch.setenv(name, "/nowhere")
    assert recipe_of(project, target).signature != before
    monkeypatch.setenv("ANOTHER_VARIABLE", "x")
    now = recipe_of(project, target).signature
    monkeypatch.delenv("ANOTHER_VARIABLE")
    assert recipe_of(project, target).signature == now


def test_a_header_that_a_variable_puts_first_is_compiled_and_not_taken_from_the_cache(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """The fault itself: the program of another `stdint.h` passed for the one of this."""
    target, project = any_target(), tiny_project()
    build(project, target)
    (tmp_path / "string.h").write_text("#error this is another one\n", encoding="utf-8")
    monkeypatch.setenv("CPATH", str(tmp_path))
    with pytest.raises(BuildFailure, match="this is another one"):
        build(project, target)


def test_the_runner_is_part_of_a_run(tmp_path: Path, monkeypatch: Patch) -> None:
    runner = tmp_path / "emulator"
    runner.write_text("#!/bin/sh\n", encoding="utf-8")
    runner.chmod(0o755)
    target = any_target()
    target = replace(target, machine=replace(target.machine, runner=(str(runner),)))
    before = run_ingredients(target)
    _touched(runner)
    changed = run_ingredients(target)
    assert changed != before
    monkeypatch.setenv("QEMU_CPU", "max")
    assert run_ingredients(target) != changed


@pytest.mark.parametrize("name", ["gcc-O2", "clang-O3-native", "zig-O2", "tcc"])
def test_every_family_names_its_parts(name: str) -> None:
    (target,) = select([name])
    if target.missing() is not None:
        pytest.skip(f"{name}: {target.missing()}")
    own = len(module.variables()) + 2
    there = [fact for fact in build_ingredients(target)[own:] if not fact.endswith(" absent")]
    least: dict[str, int] = {"gcc": 8, "clang": 4, "zig": 1, "tcc": 2}
    assert len(there) >= least[target.family], there

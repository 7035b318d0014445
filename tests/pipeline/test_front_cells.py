"""A target's verdict is kept under everything it depends on, and under nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ares.pipeline import keys as keys_module
from ares.pipeline.front import Front
from ares.pipeline.keys import Keys
from ares.pipeline.subject import Shows
from ares.toolchain import Machine, Target
from ares.toolchain.boards import with_board_files
from tests.pipeline.fronts import PACKAGE, Patch, edited
from tests.toolchain.tiny_network import any_target, usable

# --- the key of a cell


def _cell_keys(front: Front, files: tuple[Path, ...], *targets: Target) -> list[str]:
    return [Keys().cell(front, files, target) for target in targets]


def test_a_cell_depends_on_its_target(
    front: Front, files: tuple[Path, ...], monkeypatch: Patch
) -> None:
    target = any_target()
    machine = target.machine
    others = [
        target,
        replace(target, name="other"),
        replace(target, flags=(*target.flags, "-DX")),
        replace(target, link_flags=(*target.link_flags, "-lm")),
        replace(target, run_environment=(("X", "1"),)),
        replace(target, trace="digests" if target.trace == "full" else "full"),
        replace(target, guarded=not target.guarded),
        replace(target, machine=replace(machine, name="other")),
        replace(target, machine=replace(machine, byte_order="big")),
    ]
    keys = _cell_keys(front, files, *others)
    monkeypatch.setattr(Target, "compiler_identity", lambda _: "gcc 99")
    keys += _cell_keys(front, files, target)
    monkeypatch.setattr(Machine, "identity", lambda _: "qemu 99")
    keys += _cell_keys(front, files, target)
    assert len(set(keys)) == len(keys)


def test_a_cell_depends_on_the_cases_that_are_run(front: Front, files: tuple[Path, ...]) -> None:
    target, count = any_target(), len(front.shows)
    keys = [Keys().cell(front, files, target, case) for case in (None, *range(count))]
    assert len(set(keys)) == count + 1
    assert Keys().cell(front, files, target, count) == keys[1]  # the first one again
    assert Keys().cell(front, files, target) == keys[0]


def test_a_cell_depends_on_the_project_that_its_target_gets(
    front: Front, files: tuple[Path, ...]
) -> None:
    plain = any_target()
    guarded = replace(plain, guarded=True)
    assert front.project != front.guarded_project
    before = _cell_keys(front, files, plain, guarded)
    of_project = _cell_keys(replace(front, project="0"), files, plain, guarded)
    of_guarded = _cell_keys(replace(front, guarded_project="0"), files, plain, guarded)
    assert (of_project[0] != before[0], of_project[1] == before[1]) == (True, True)
    assert (of_guarded[0] == before[0], of_guarded[1] != before[1]) == (True, True)


def test_a_cell_depends_on_golden_and_on_what_is_right(
    front: Front, files: tuple[Path, ...]
) -> None:
    target = any_target()
    before = Keys().cell(front, files, target)
    first = front.shows[0]
    name = next(iter(first.tensors))
    other = Shows({**first.tensors, name: "0" * 16}, first.outputs)
    assert Keys().cell(replace(front, shows=(other, *front.shows[1:])), files, target) != before
    outputs = Shows(first.tensors, ("0" * 16,))
    assert Keys().cell(replace(front, shows=(outputs, *front.shows[1:])), files, target) != before
    for path in files:
        content = path.read_bytes()
        try:
            path.write_bytes(content + b"\n")
            # The model's file has done its work when there is a front.
            assert (Keys().cell(front, files, target) == before) == (path.suffix == ".py"), path
        finally:
            path.write_bytes(content)


@pytest.mark.parametrize(
    ("part", "counts"),
    [
        ("verdict/compare.py", True),
        ("toolchain/trace_protocol.py", True),
        ("toolchain/wasi.py", True),
        ("golden/store.py", True),
        ("ir/project.py", True),
        ("pipeline/subject.py", True),
        ("pipeline/compiled.py", True),
        ("pipeline/expectations.py", False),  # applied to kept verdicts too
        ("cli/networks.py", False),
    ],
)
def test_a_cell_depends_on_those_who_judge(
    part: str, counts: bool, front: Front, files: tuple[Path, ...], monkeypatch: Patch
) -> None:
    before = Keys().cell(front, files, any_target())
    assert (PACKAGE / part).is_file()
    edited(PACKAGE / part, monkeypatch)
    assert (Keys().cell(front, files, any_target()) != before) == counts


def test_a_cell_of_a_board_depends_on_what_the_board_adds(
    front: Front, files: tuple[Path, ...], monkeypatch: Patch
) -> None:
    """Start-up code and linker script are no part of the generated project."""
    host, board = any_target(), usable("m4-gcc-O2")
    before = _cell_keys(front, files, host, board)

    def changed(project: Any, name: str) -> dict[str, bytes]:
        files = with_board_files(project, name)
        path = min(path for path in files if path.endswith("start.c"))
        return {**files, path: files[path] + b"\n"}

    monkeypatch.setattr(keys_module, "with_board_files", changed)
    after = _cell_keys(front, files, host, board)
    assert (after[0] == before[0], after[1] != before[1]) == (True, True)

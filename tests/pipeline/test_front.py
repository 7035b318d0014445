"""What is kept of a front is kept under everything it depends on, and comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ares.golden import load_golden
from ares.ir import save_graph
from ares.pipeline import keys as keys_module
from ares.pipeline.catalogue import Zoo
from ares.pipeline.front import Front, Store
from ares.pipeline.keys import Keys
from ares.pipeline.network import NetworkSubject
from ares.resources import runtime_dir
from ares.toolchain import Cache
from ares.verdict import Outcome, Verdict
from tests.pipeline.fake_checkout import NAME
from tests.pipeline.fronts import PACKAGE, Patch, edited

# --- the key of a front


def test_the_files_of_a_subject_are_all_that_it_is_made_from(files: tuple[Path, ...]) -> None:
    names = [path.name for path in files]
    assert names[:2] == [f"{NAME}.py", "conftest.py"]
    assert {"manifest.json", "state.safetensors", "case_realistic.safetensors.zst"} < set(names)


def test_one_byte_of_any_file_of_the_subject_is_another_front(files: tuple[Path, ...]) -> None:
    before = Keys().front(NAME, files)
    assert Keys().front(NAME, files) == before
    keys = {before}
    for path in files:
        content = path.read_bytes()
        try:
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"#")
            keys.add(Keys().front(NAME, files))
        finally:
            path.write_bytes(content)
    assert len(keys) == 1 + len(files)
    assert Keys().front(NAME, files) == before
    assert Keys().front("another", files) != before


def test_a_file_more_or_less_or_moved_is_another_front(files: tuple[Path, ...]) -> None:
    before = Keys().front(NAME, files)
    assert Keys().front(NAME, files[:-1]) != before
    beside = files[0].parent / "helper.py"
    beside.write_text("", encoding="utf-8")
    try:
        again = Zoo(files[0].parents[2]).files(NAME)
        assert beside in again
        assert Keys().front(NAME, again) != before
    finally:
        beside.unlink()


@pytest.mark.parametrize(
    "path",
    [
        PACKAGE / "ops" / "conv2d.py",
        PACKAGE / "extract" / "conv2d.py",
        PACKAGE / "emit" / "templates",
        PACKAGE / "pipeline" / "expectations.py",
        PACKAGE / "cli" / "networks.py",
        runtime_dir() / "src" / "conv2d.c",
        runtime_dir() / "inc" / "numerics.h",
        runtime_dir() / "trace" / "trace.c",
        runtime_dir() / "boards" / "common" / "sections.ld",
        runtime_dir() / "boards" / "riscv" / "start.c",
    ],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_any_file_of_ares_is_part_of_every_front(
    path: Path, files: tuple[Path, ...], monkeypatch: Patch
) -> None:
    before = Keys().front(NAME, files)
    for changed in sorted(path.iterdir()) if path.is_dir() else [path]:
        with monkeypatch.context() as patch:
            edited(changed, patch)
            assert Keys().front(NAME, files) != before, changed


def test_every_source_takes_part(monkeypatch: Patch) -> None:
    """Also the ones that will be added."""
    read: set[Path] = set()

    def seen(path: Path, *_: int) -> str:
        read.add(path)
        return ""

    monkeypatch.setattr(keys_module, "_content_then", seen)
    Keys().front(NAME, ())
    runtime = {p for p in runtime_dir().rglob("*") if p.is_file()}
    sources = {p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix in (".py", ".j2")}
    templates = {p for p in (PACKAGE / "emit" / "templates").rglob("*") if p.is_file()}
    assert runtime | sources | templates <= read


@pytest.mark.parametrize("package", ["torch", "brevitas", "numpy", "scikit-learn", "jinja2"])
def test_another_version_of_a_package_is_another_front(
    package: str, files: tuple[Path, ...], monkeypatch: Patch
) -> None:
    before = Keys().front(NAME, files)
    version = keys_module.version
    monkeypatch.setattr(
        keys_module, "version", lambda name: "0.0" if name == package else version(name)
    )
    assert Keys().front(NAME, files) != before


# --- the store


def test_fronts_and_verdicts_come_back_as_they_were(
    store: Store, front: Front, session: NetworkSubject
) -> None:
    assert store.front("aa") is None
    assert store.verdict("aa") is None
    store.keep_front("aa", front, session.graph)
    kept = store.front("aa")
    assert kept is not None
    assert kept == replace(front, verdicts=tuple(replace(v, kept=True) for v in front.verdicts))
    assert kept.passed
    assert save_graph(store.graph("aa")) == save_graph(session.graph)
    verdict = Verdict("n", "c[x]", Outcome.LEFT_OUT, "too\nlarge", "too large", "l", 1.5, False, 7)
    store.keep_verdict("aa", verdict)
    assert store.verdict("aa") == replace(verdict, kept=True)
    store.keep_verdict("aa", replace(verdict, message="another"))
    assert store.verdict("aa") == replace(verdict, message="another", kept=True)
    store.forget_verdict("aa")
    assert store.verdict("aa") is None


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize("file", ["front/aa/front.json", "graph/aa/graph.safetensors"])
@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink])
def test_a_damaged_front_or_graph_is_none(
    store: Store,
    front: Front,
    session: NetworkSubject,
    tmp_path: Path,
    file: str,
    damage: Callable[[Path], None],
) -> None:
    store.keep_front("aa", front, session.graph)
    damage(tmp_path / "cache" / file)
    assert store.front("aa") is None
    store.keep_front("aa", front, session.graph)
    assert store.front("aa") is not None
    assert save_graph(store.graph("aa")) == save_graph(session.graph)


FOREIGN = [
    b"",
    b"\xff",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{}",
    b'{"verdicts": 3}',
    b'{"outcome": "perfect"}',
    b'{"network": "n", "stage": "s", "outcome": "pass", "more": 1}',
    b'{"outcome": "pass"}',
]


@pytest.mark.parametrize("content", FOREIGN)
def test_entries_of_another_format_are_none_and_made_again(
    store: Store, front: Front, session: NetworkSubject, tmp_path: Path, content: bytes
) -> None:
    verdict = Verdict("n", "c[x]", Outcome.PASS)
    store.keep_front("aa", front, session.graph)
    for kind in ("front", "verdict"):
        Cache(tmp_path / "cache").put(kind, "aa", f"{kind}.json", content)
    assert store.front("aa") is None
    assert store.verdict("aa") is None
    store.keep_front("aa", front, session.graph)
    store.keep_verdict("aa", verdict)
    assert store.front("aa") is not None
    assert store.verdict("aa") == replace(verdict, kept=True)


@pytest.mark.parametrize("lacks", ["verdicts", "macs", "project", "guarded_project", "shows"])
def test_a_front_that_lacks_a_field_is_none(
    store: Store, front: Front, session: NetworkSubject, tmp_path: Path, lacks: str
) -> None:
    store.keep_front("aa", front, session.graph)
    path = tmp_path / "cache" / "front" / "aa" / "front.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    del facts[lacks]
    Cache(tmp_path / "cache").put("front", "aa", "front.json", json.dumps(facts).encode())
    assert store.front("aa") is None


# --- what is right is known beforehand


def test_what_is_shown_is_what_a_run_shows(session: NetworkSubject) -> None:
    """Every digest that a cell will be compared with comes out of a real run."""
    golden = load_golden(session.paths.golden)
    assert len(session.shows) == len(golden.cases) >= 3
    for shows in session.shows:
        assert set(shows.tensors) == {point.tensor for point in session.project.points}
        assert None not in (*shows.tensors.values(), *shows.outputs)

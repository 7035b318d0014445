"""What is kept from one run to the next is kept under everything it depends on, and nothing else is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ares
from ares.golden import load_golden
from ares.ir import save_graph
from ares.pipeline import front as front_module
from ares.pipeline.catalogue import subject_files
from ares.pipeline.front import Front, KeptSubject, Store, cell_key, front_key
from ares.pipeline.network import STAGES, NetworkSubject
from ares.pipeline.subject import Shows
from ares.resources import runtime_dir
from ares.toolchain import Cache, Machine, Target, default_targets
from ares.toolchain.boards import with_board_files
from ares.verdict import Outcome, Verdict
from tests.pipeline.fake_checkout import NAME, checkout_in_use, make_checkout, probe_paths
from tests.toolchain.tiny_network import any_target, usable
from tests.witness.planting import (
    BLAMES_C,
    assert_red,
    c_verdict,
    in_constant,
    prepared,
    with_project,
)

Patch = pytest.MonkeyPatch
PACKAGE = Path(ares.__file__).parent


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def files(original: Path) -> Iterator[tuple[Path, ...]]:
    with checkout_in_use(original):
        yield subject_files(NAME)


@pytest.fixture(scope="module")
def session(original: Path) -> NetworkSubject:
    return prepared(probe_paths(original))


@pytest.fixture(scope="module")
def front(session: NetworkSubject) -> Front:
    verdicts = [replace(session.stage(stage), seconds=0.5) for stage in STAGES]
    return Front.of(session, tuple(verdicts))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Cache(tmp_path / "cache"))


def _edited(path: Path, monkeypatch: Patch) -> None:
    """Have one byte of a file read differently, without touching the file."""
    content = front_module._content_then
    old = content.__wrapped__  # type: ignore[attr-defined]

    def edited(read: Path, *facts: int) -> str:
        return "0" * 64 if read == path else old(read, *facts)

    monkeypatch.setattr(front_module, "_content_then", edited)
    for cached in (front_module._package_digest, front_module._judges_digest):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def _forget_digests() -> Any:
    yield
    for cached in (front_module._package_digest, front_module._judges_digest):
        cached.cache_clear()


# --- the key of a front


def test_the_files_of_a_subject_are_all_that_it_is_made_from(files: tuple[Path, ...]) -> None:
    names = [path.name for path in files]
    assert names[:2] == [f"{NAME}.py", "conftest.py"]
    assert {"manifest.json", "state.safetensors", "case_realistic.safetensors.zst"} < set(names)


def test_one_byte_of_any_file_of_the_subject_is_another_front(files: tuple[Path, ...]) -> None:
    before = front_key(NAME, files)
    assert front_key(NAME, files) == before
    keys = {before}
    for path in files:
        content = path.read_bytes()
        try:
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"#")
            keys.add(front_key(NAME, files))
        finally:
            path.write_bytes(content)
    assert len(keys) == 1 + len(files)
    assert front_key(NAME, files) == before
    assert front_key("another", files) != before


def test_a_file_more_or_less_or_moved_is_another_front(files: tuple[Path, ...]) -> None:
    before = front_key(NAME, files)
    assert front_key(NAME, files[:-1]) != before
    beside = files[0].parent / "helper.py"
    beside.write_text("", encoding="utf-8")
    try:
        assert beside in subject_files(NAME)
        assert front_key(NAME, subject_files(NAME)) != before
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
    before = front_key(NAME, files)
    for changed in sorted(path.iterdir()) if path.is_dir() else [path]:
        with monkeypatch.context() as patch:
            _edited(changed, patch)
            assert front_key(NAME, files) != before, changed


def test_every_source_takes_part(monkeypatch: Patch) -> None:
    """Also the ones that will be added."""
    read: set[Path] = set()

    def seen(path: Path, *_: int) -> str:
        read.add(path)
        return ""

    monkeypatch.setattr(front_module, "_content_then", seen)
    front_module._package_digest.cache_clear()
    front_module._package_digest()
    runtime = {p for p in runtime_dir().rglob("*") if p.is_file()}
    sources = {p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix in (".py", ".j2")}
    templates = {p for p in (PACKAGE / "emit" / "templates").rglob("*") if p.is_file()}
    assert runtime | sources | templates <= read


@pytest.mark.parametrize("package", ["torch", "brevitas", "numpy", "scikit-learn", "jinja2"])
def test_another_version_of_a_package_is_another_front(
    package: str, files: tuple[Path, ...], monkeypatch: Patch
) -> None:
    before = front_key(NAME, files)
    version = front_module.version
    front_module._package_digest.cache_clear()
    monkeypatch.setattr(
        front_module, "version", lambda name: "0.0" if name == package else version(name)
    )
    assert front_key(NAME, files) != before


# --- the key of a cell


def _cell_keys(front: Front, files: tuple[Path, ...], *targets: Target) -> list[str]:
    return [cell_key(front, files, target) for target in targets]


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
    keys = [cell_key(front, files, target, case) for case in (None, *range(count))]
    assert len(set(keys)) == count + 1
    assert cell_key(front, files, target, count) == keys[1]  # the first one again
    assert cell_key(front, files, target) == keys[0]


@pytest.mark.parametrize("name", ["gcc-O2", "wasm32-zig-O2"])
def test_one_case_alone_is_compared_with_its_own_golden(
    session: NetworkSubject, front: Front, name: str
) -> None:
    target = usable(name)
    for number, case in enumerate(session.golden.cases):
        for subject in (session, _kept(session, front)):
            verdict = subject.target(target, number + 7 * len(front.shows))
            assert verdict.outcome is Outcome.PASS
            assert verdict.message == f"case {case.name}, {len(session.project.points)} layers each"
    project = in_constant(session.project, "fc_bias", lambda text: text.replace("0x1", "0x3", 1))
    for number, case in enumerate(session.golden.cases):
        verdict = with_project(session, project).target(target, number)
        assert_red(verdict, layer="fc", says=(BLAMES_C, f"case {case.name}: "))


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
    before = cell_key(front, files, target)
    first = front.shows[0]
    name = next(iter(first.tensors))
    other = Shows({**first.tensors, name: "0" * 16}, first.outputs)
    assert cell_key(replace(front, shows=(other, *front.shows[1:])), files, target) != before
    outputs = Shows(first.tensors, ("0" * 16,))
    assert cell_key(replace(front, shows=(outputs, *front.shows[1:])), files, target) != before
    for path in files:
        content = path.read_bytes()
        try:
            path.write_bytes(content + b"\n")
            # The model's file has done its work when there is a front.
            assert (cell_key(front, files, target) == before) == (path.suffix == ".py"), path
        finally:
            path.write_bytes(content)


@pytest.mark.parametrize(
    ("part", "counts"),
    [
        ("verdict/compare.py", True),
        ("toolchain/transcript.py", True),
        ("toolchain/wasi.py", True),
        ("golden/store.py", True),
        ("ir/project.py", True),
        ("pipeline/subject.py", True),
        ("pipeline/expectations.py", False),  # applied to kept verdicts too
        ("cli/networks.py", False),
    ],
)
def test_a_cell_depends_on_those_who_judge(
    part: str, counts: bool, front: Front, files: tuple[Path, ...], monkeypatch: Patch
) -> None:
    before = cell_key(front, files, any_target())
    assert (PACKAGE / part).is_file()
    _edited(PACKAGE / part, monkeypatch)
    assert (cell_key(front, files, any_target()) != before) == counts


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

    monkeypatch.setattr(front_module, "with_board_files", changed)
    after = _cell_keys(front, files, host, board)
    assert (after[0] == before[0], after[1] != before[1]) == (True, True)


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


# --- a subject from a kept front


def _kept(session: NetworkSubject, front: Front) -> KeptSubject:
    return KeptSubject(NAME, session.graph, session.paths.golden, front, lambda: session)


@pytest.mark.parametrize("name", [t.name for t in default_targets()] + ["s390x-gcc-O2"])
def test_a_kept_subject_gives_the_same_verdict(
    session: NetworkSubject, front: Front, name: str
) -> None:
    target = usable(name)
    verdicts = [subject.target(target) for subject in (session, _kept(session, front))]
    assert verdicts[0].outcome is Outcome.PASS, verdicts[0].message
    assert len({json.dumps({**v.as_json(), "seconds": 0}) for v in verdicts}) == 1


@pytest.mark.parametrize("name", ["gcc-O2", "wasm32-zig-O2"])  # all tensors; digests and a dump
def test_a_difference_gets_the_same_report_and_asks_torch(
    session: NetworkSubject, front: Front, name: str
) -> None:
    target = usable(name)
    project = in_constant(session.project, "fc_bias", lambda text: text.replace("0x1", "0x3", 1))
    asked: list[int] = []

    def origin() -> NetworkSubject:
        asked.append(1)
        return session

    kept = KeptSubject(NAME, session.graph, session.paths.golden, front, origin)
    kept.project = kept.guarded_project = project
    found = kept.target(target)
    want = c_verdict(session, project, target)
    assert_red(found, layer="fc", says=(BLAMES_C,))
    assert replace(found, seconds=0) == replace(want, seconds=0)
    assert asked == [1]


def test_a_kept_subject_does_not_trust_a_changed_golden(
    session: NetworkSubject, front: Front, tmp_path: Path
) -> None:
    (tmp_path / "golden").mkdir()
    for path in session.paths.golden.iterdir():
        (tmp_path / "golden" / path.name).write_bytes(path.read_bytes())
    manifest = tmp_path / "golden" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"conv"', '"vnoc"'), encoding="utf-8")
    subject = KeptSubject(NAME, session.graph, tmp_path / "golden", front, lambda: session)
    verdict = subject.target(any_target())
    assert (verdict.outcome, verdict.fault) == (Outcome.FAIL, "GoldenError")


SCRIPT = """
import sys
from pathlib import Path
from ares.pipeline.front import KeptSubject, Store
from ares.toolchain import Cache, select
name, cache, golden = sys.argv[1:4]
store = Store(Cache(Path(cache)))
front = store.front("aa")
subject = KeptSubject(name, store.graph("aa"), Path(golden), front, lambda: 1 / 0)
for target in select(sys.argv[4:]):
    verdict = subject.target(target)
    print(verdict.outcome.value, verdict.message)
print(sorted(m for m in sys.modules if m.split(".")[0] in ("torch", "brevitas")))
"""


def test_a_kept_subject_needs_no_torch(
    store: Store, front: Front, session: NetworkSubject, tmp_path: Path
) -> None:
    store.keep_front("aa", front, session.graph)
    target = any_target()
    command = [sys.executable, "-c", SCRIPT, NAME, tmp_path / "cache", session.paths.golden]
    finished = subprocess.run(
        [*map(str, command), target.name], capture_output=True, text=True, check=False, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    *verdicts, modules = finished.stdout.splitlines()
    assert verdicts == [f"pass {session.target(target).message}"]
    assert modules == "[]"


# --- what is right is known beforehand


def test_what_is_shown_is_what_a_run_shows(session: NetworkSubject) -> None:
    """Every digest that a cell will be compared with comes out of a real run."""
    golden = load_golden(session.paths.golden)
    assert len(session.shows) == len(golden.cases) >= 3
    for shows in session.shows:
        assert set(shows.tensors) == {point.tensor for point in session.project.points}
        assert None not in (*shows.tensors.values(), *shows.outputs)

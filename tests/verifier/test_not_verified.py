"""A machine that keeps `ares verify` from comparing says nothing of the C; what is known is said to be known."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ares.cli import verify as verify_module
from ares.pipeline import compiled
from ares.pipeline.matrix import Event
from ares.toolchain import Cache, RunFailure
from ares.toolchain.build import LIBC_WORDS
from ares.verdict import Outcome as Ended
from ares.verdict import Verdict
from tests.checker.models import READY, write
from tests.cli.outcome import Outcome
from tests.slow import one_in
from tests.toolchain.tiny_network import any_target

Run = Callable[..., Outcome]
TARGET = any_target().name


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The options that name a model; the cache is the test's own."""
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "cache"))
    return ("--model-file", str(write(tmp_path, READY)), "--target", TARGET)


def last_line(outcome: Outcome) -> str:
    return outcome.out.splitlines()[-1]


def stages(outcome: Outcome) -> dict[str, Any]:
    return {verdict["stage"]: verdict for verdict in outcome.report["verdicts"]}


def ending(kind: Any) -> Callable[..., None]:
    """A run that ends with this fault."""

    def ended(*_: Any, **__: Any) -> None:
        raise RunFailure(kind, TARGET, "said so")

    return ended


def test_a_cache_that_cannot_be_written(
    tmp_path: Path, model: tuple[str, ...], verify: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "file"))
    outcome = verify(*model)
    assert outcome.code == 2
    assert last_line(outcome) == (
        f"NOT VERIFIED: c[{TARGET}]: toolchain: cannot keep built files: {tmp_path}/file is no folder; "
        "set ARES_CACHE_DIR to a folder of your own"
    )
    assert outcome.report["passed"] is False
    assert outcome.report["reproduction"] is None
    assert not list(tmp_path.glob("ares-failure*"))


def test_a_disk_that_is_full_while_building(
    model: tuple[str, ...], verify: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/staging")

    monkeypatch.setattr(Cache, "obtain", full)
    outcome = verify(*model)
    assert outcome.code == 2
    assert last_line(outcome).startswith(f"NOT VERIFIED: c[{TARGET}]: disk full: no space left on")


@pytest.mark.parametrize("kind", one_in(3, ["disk full", "killed", "missing tool"]))
def test_a_run_that_the_machine_ended(
    kind: Any, model: tuple[str, ...], verify: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "run", ending(kind))
    outcome = verify(*model)
    assert (outcome.code, last_line(outcome)) == (
        2,
        f"NOT VERIFIED: c[{TARGET}]: {kind}: {TARGET}: {kind}: said so",
    )


@pytest.mark.parametrize(
    "kind", one_in(3, ["crash", "sanitizer", "timeout", "malformed", "digest"])
)
def test_what_a_program_did_itself_is_not_exact(
    kind: Any, model: tuple[str, ...], verify: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "run", ending(kind))
    outcome = verify(*model)
    assert outcome.code == 1
    assert last_line(outcome).startswith(f"NOT EXACT: c[{TARGET}] failed ({kind})")


def test_the_same_content_is_known_the_second_time(
    tmp_path: Path, model: tuple[str, ...], verify: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unused(*_: Any, **__: Any) -> None:
        raise AssertionError("a program was run")

    first = verify(*model)
    assert (first.code, stages(first)[f"c[{TARGET}]"]["kept"]) == (0, False)
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "run", unused)
        second = verify(*model)
        assert (second.code, stages(second)[f"c[{TARGET}]"]["kept"]) == (0, True)
        assert "(known from an earlier run)" in second.out
        assert last_line(second) == last_line(first)
        # Other inputs, other weights, and on request: anew.
        for more in (("--cases", "2"), ("--fresh",)):
            with pytest.raises(AssertionError, match="a program was run"):
                verify(*model, *more)
        write(tmp_path, READY.replace("manual_seed(1)", "manual_seed(2)"))
        with pytest.raises(AssertionError, match="a program was run"):
            verify(*model)


@pytest.mark.slow
def test_a_failure_is_never_known(
    model: tuple[str, ...], verify: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = ending("crash")
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "run", ended)
        assert verify(*model).code == 1
    assert verify(*model).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "run", ended)
        assert verify(*model, "--fresh").code == 1
    assert stages(verify(*model))[f"c[{TARGET}]"]["kept"] is False


def test_who_waits_for_a_library_sees_what_is_known_already(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The host's verdict comes in seconds; zig's C libraries take a minute each, once."""
    wait = verify_module._Wait()
    first, second = (Verdict("net", f"c[{name}]", Ended.PASS) for name in ("one", "two"))
    third = Verdict("net", "c[three]", Ended.FAIL, "text", "crash")
    wait.hear(Event(("c[one]",), 4, 8))
    wait.hear(Event(("c[two]",), 5, 8, (first,)))
    wait.hear(Event(("c[three]",), 5, 8, told="three: compiling net"))
    assert capsys.readouterr().err == ""
    wait.hear(Event(("c[three]",), 5, 8, told=f"three: {LIBC_WORDS}"))
    wait.hear(Event(("c[three]",), 6, 8, (second,)))
    wait.hear(Event(("c[four]",), 7, 8, (third,)))
    wait.hear(Event((), 8, 8, (first,)))
    assert capsys.readouterr().err.splitlines() == [
        f"three: {LIBC_WORDS}",
        "c[one]: exact",
        "c[two]: exact",
        "c[three]: fail",
    ]

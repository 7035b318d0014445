"""How a file reads differently without being touched, and a subject from a kept front."""

from __future__ import annotations

from pathlib import Path

import pytest

import ares
from ares.pipeline import keys as keys_module
from ares.pipeline.front import Front, KeptSubject
from ares.pipeline.network import NetworkSubject
from tests.pipeline.fake_checkout import NAME

Patch = pytest.MonkeyPatch
PACKAGE = Path(ares.__file__).parent


def edited(path: Path, monkeypatch: Patch) -> None:
    """Have one byte of a file read differently, without touching the file."""
    content = keys_module._content_then
    old = content.__wrapped__  # type: ignore[attr-defined]

    def edited(read: Path, *facts: int) -> str:
        return "0" * 64 if read == path else old(read, *facts)

    monkeypatch.setattr(keys_module, "_content_then", edited)


def kept_subject(session: NetworkSubject, front: Front) -> KeptSubject:
    return KeptSubject(NAME, session.graph, session.paths.golden, front, lambda: session)

"""Files in the current and in the temporary folder, named like modules that ARES or its children import: none runs.

Whoever can write to /tmp would else run a program as anybody who calls `ares`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ares.toolchain.cache import default_root
from tests.slow import one_in

ROOT = Path(__file__).resolve().parents[2]
# What is looked for in a folder before the standard library, and what is imported late or by children only.
NAMES = (
    *(
        "ares",
        "json",
        "multiprocessing",
        "numpy",
        "pickle",
        "runpy",
        "shutil",
        "signal",
        "sitecustomize",
    ),
    *("socket", "subprocess", "tempfile", "threading", "torch", "wasmtime", "ziglang"),
)
# As the console script does: its own folder comes first, not the current one.
SCRIPT = "from ares.cli import main\n\nif __name__ == '__main__':\n    main()\n"
COMMANDS: dict[str, Sequence[str]] = {
    "networks, targets": ("networks", "--list-targets", "--target", "*zig*"),
    "networks": ("networks", "test_3_mlp", "--target", "zig-O2", "--target", "wasm32-zig-O2"),
    "verify": ("verify", "--test-network", "test_3_mlp", "--target", "wasm32-zig-O2"),
}


@pytest.mark.parametrize("command", one_in(3, COMMANDS))
def test_no_foreign_file_runs(command: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    pytest.importorskip("wasmtime")
    ran = tmp_path / "ran"
    for folder in ("here", "tmp", "bin"):
        (tmp_path / folder).mkdir()
    for folder in ("here", "tmp"):
        for name in NAMES:
            text = f"with open({str(ran)!r}, 'a') as file:\n    file.write(__file__ + '\\n')\n"
            (tmp_path / folder / f"{name}.py").write_text(text, encoding="utf-8")
    script = tmp_path / "bin" / "start.py"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, str(script), *COMMANDS[command]],
        cwd=tmp_path / "here",
        env={
            **environment,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(tmp_path / "tmp"),
            "ARES_CACHE_DIR": str(tmp_path / "cache"),
            # With the C libraries that were built before.
            "ZIG_GLOBAL_CACHE_DIR": os.environ.get(
                "ZIG_GLOBAL_CACHE_DIR", str(default_root() / "zig")
            ),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert not ran.exists(), ran.read_text(encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr

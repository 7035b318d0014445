"""What CONTRIBUTING.md says that a network and an operation cost: new files, and what the tools write.

Both are added to a copy of the repository, with the commands that CONTRIBUTING.md names, and checked there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ares.documents.registry import generated
from tests.checkout import ROOT
from tests.toolchain.tiny_network import any_target

HERE = Path(__file__).parent
PARTS = ("ares", "docs", "examples", "golden", "runtime", "tests", "tools")
GENERATED = {page.path for page in generated()}
LATEST_S = 600
ARES = "from ares.cli import main; main()"
LINT_IMPORTS = (
    "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
)


def tree(folder: Path) -> dict[str, str]:
    """Path -> digest of every file that a commit would hold."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for part in PARTS
        for path in (folder / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


class Checkout:
    """A copy of the repository, whose code is what its commands run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in PARTS:
            ignored = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(ROOT / part, root / part, ignore=ignored)
        for path in ROOT.iterdir():
            if path.is_file():
                shutil.copyfile(path, root / path.name)
        self.before = tree(root)

    def add(self, name: str) -> set[str]:
        """Put the files of the tree `name` in place; their paths. None of them is there yet."""
        files = tree(HERE / name)
        assert files
        assert not files.keys() & self.before.keys()
        shutil.copytree(HERE / name, self.root, dirs_exist_ok=True)
        return set(files)

    def run(self, *words: str) -> str:
        """A Python command; what it prints. It has to succeed."""
        done = subprocess.run(
            [sys.executable, "-B", *words],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root)},
            capture_output=True,
            text=True,
            timeout=LATEST_S,
            check=False,
        )
        assert done.returncode == 0, (
            f"{' '.join(words)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
        return done.stdout

    def shows(self, path: str, text: str) -> None:
        """A file has come to hold a text."""
        assert text in (self.root / path).read_text(encoding="utf-8"), path

    def changed(self) -> Mapping[str, str]:
        """Path -> "new", "edited" or "gone"."""
        after = tree(self.root)
        words = {path: "edited" if path in self.before else "new" for path in after}
        words |= dict.fromkeys(self.before.keys() - after.keys(), "gone")
        return {
            path: word for path, word in words.items() if after.get(path) != self.before.get(path)
        }


NETWORK, STEM, USER = "test_90_newcomer", "circular_pad2d", "test_91_panorama"
SLICE = {
    f"ares/ops/{STEM}.py",
    f"ares/extract/{STEM}.py",
    f"runtime/inc/{STEM}.h",
    f"runtime/src/{STEM}.c",
    f"tests/ops/test_{STEM}.py",
    f"tests/test_networks/{USER}.py",
}


TESTS = (
    "tests/documents",
    "tests/test_slices.py",
    f"tests/ops/test_{STEM}.py",
    "tests/zoo/test_networks.py",
)
OF_THE_TWO = f"documents or test_slices or {STEM} or {NETWORK} or {USER}"


def make(checkout: Checkout) -> None:
    """What CONTRIBUTING.md says that tools write."""
    printed = checkout.run("tools/regenerate_golden.py", "ops", NETWORK, USER)
    assert f"changed: {NETWORK}: new, 3 cases\n" in printed
    assert f"changed: {USER}: new, 3 cases\n" in printed
    assert f"changed: ops_ae: {STEM}.case.one_pixel: new case\n" in printed
    checkout.run("tools/generate_docs.py")


def check(checkout: Checkout) -> None:
    """The two networks on a target, the linters, and the tests that the newcomers meet."""
    words = ("networks", NETWORK, USER, "--target", any_target().name)
    assert "\nEXACT: 2 networks, 1 target, " in checkout.run("-c", ARES, *words)
    python = sorted(path for path in SLICE if path.endswith(".py"))
    checkout.run("-m", "ruff", "check", "--no-cache", *python)
    checkout.run("-c", LINT_IMPORTS)
    checkout.run("tools/house_rules.py")
    options = ("-q", "--slow", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", OF_THE_TWO)
    checkout.run("-m", "pytest", *options, *TESTS)


@pytest.mark.slow
def test_a_network_and_an_operation_cost_new_files(tmp_path: Path) -> None:
    """One checkout for both: most of the time goes into starting Python."""
    checkout = Checkout(tmp_path)
    assert checkout.add("network") == {f"tests/test_networks/{NETWORK}.py"}
    assert checkout.add("operation") == SLICE
    make(checkout)
    check(checkout)

    goldens = tuple(f"golden/{name}/" for name in (NETWORK, USER))
    for path, word in checkout.changed().items():
        new = path.startswith(goldens) or path in SLICE | {f"tests/test_networks/{NETWORK}.py"}
        by_a_tool = path in GENERATED or path.startswith("golden/ops_ae/")
        assert (word == "new" and new) or (word == "edited" and by_a_tool), f"{path}: {word}"
    checkout.shows("runtime/inc/layer_descriptors.h", "\n    OP_CIRCULAR_PAD2D,\n")
    row = "| `CircularPad2d` | `torch.nn.CircularPad2d` | `OP_CIRCULAR_PAD2D` |"
    checkout.shows("docs/supported_operations.md", row)
    checkout.shows("docs/supported_operations.md", "| 0 (codes only move) | test 91 |")
    checkout.shows("docs/targets.md", f"\nNot recorded yet: `{NETWORK}`, `{USER}`.\n")

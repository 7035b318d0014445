"""How many instructions networks take in the C of this checkout and in that of an older one, on chosen targets.

    python tools/compare_speed.py OLD [--network NAME]... [--target T]... [--record FILE]

OLD is a checkout (`git worktree add ../old COMMIT`). Each checkout emits its own C of the networks that both have; the
same compilers build it with the same flags, and the same bench runs it in QEMU, whose plugin tools/count_instructions.c
counts. An inference is what a run of two has more than a run of one, so that nothing around it is counted. A program
whose outputs are not the older one's has no count. `--record` puts the counts into docs/speed.json, from which
`python tools/generate_docs.py` makes a table. Exit code 1: a pair could not be compared; 2: usage.

Hosts are run as QEMU's largest x86-64, whose vectors end with AVX2.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ares.bench.speed import (  # noqa: E402 - found through the line above
    Compared,
    Counts,
    SpeedError,
    read_speed,
    write_speed,
)
from ares.cli.interrupts import interruptible  # noqa: E402
from ares.files import write_file  # noqa: E402
from ares.ir import Project, content_digest  # noqa: E402
from ares.pipeline.catalogue import UnknownNetwork, Zoo  # noqa: E402
from ares.toolchain import BuildFailure, Target, ToolchainError, build, select  # noqa: E402
from ares.toolchain.bench import CLOCK, Counter, bench_project, counter  # noqa: E402
from ares.toolchain.process import run_process  # noqa: E402

_TIMEOUT_S = 1800.0
_HOST_RUNNER = ("qemu-x86_64", "-cpu", "max")
_WORD = "instructions "

# Run by each checkout with its own `ares`: plain types of what its emitter makes of the networks.
_EMIT = """
import pickle, sys
from pathlib import Path
from ares.emit import emit
from ares.pipeline.catalogue import Zoo
from ares.pipeline.network import NetworkSubject
from ares.plan import plan

root, out, *names = sys.argv[1:]
made = {}
for name in names:
    subject = NetworkSubject(Zoo(Path(root)).paths(name))
    project = emit(plan(subject.graph))
    arrays = subject.golden.cases[0].inputs
    case = b"".join(port.to_bytes(array) for port, array in zip(project.inputs, arrays))
    made[name] = (dict(project.files), project.sources, project.main, case)
Path(out).write_bytes(pickle.dumps(made))
"""


class CompareError(Exception):
    """Something cannot be compared; one line."""


@dataclass(frozen=True, slots=True)
class Emitted:
    """A checkout's C of a network, and the bytes of the golden's first case."""

    project: Project
    case: bytes


def main(arguments: Sequence[str]) -> int:
    """Measure, show, record; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="the older checkout")
    parser.add_argument("--network", action="append", help="default: all that both have")
    parser.add_argument("--target", action="append", required=True, help="name or glob")
    parser.add_argument("--record", type=Path, help="file of counts to add to")
    given = parser.parse_args(arguments)
    failed = False
    try:
        targets = select(given.target)
        before = _commit(given.old)
        names = _networks(given.old.resolve(), given.network)
        with tempfile.TemporaryDirectory(prefix="ares-speed-") as name:
            folder = Path(name)
            plugin = plugin_for_qemu(folder)
            old, new = (emitted(root, names, folder) for root in (given.old.resolve(), ROOT))
            for target in targets:
                counts = _target_counts(old, new, target, plugin)
                failed |= len(counts) < len(names)
                if given.record is not None and counts:
                    _record(given.record, target, counts, before, _runtime_digest(new))
    except (CompareError, SpeedError, ToolchainError, UnknownNetwork, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if failed else 0


def _networks(old: Path, names: Sequence[str] | None) -> list[str]:
    both = [name for name in Zoo(old).networks if name in Zoo(ROOT).networks]
    return both if names is None else [Zoo(old).paths(name).name for name in names]


def plugin_for_qemu(folder: Path) -> Path:
    """QEMU's plugin, compiled for this machine."""
    made = folder / "count.so"
    source = ROOT / "tools" / "count_instructions.c"
    command = ("gcc", "-std=c11", "-O2", "-shared", "-fPIC", "-o", str(made), str(source))
    finished = run_process(command, folder=folder, timeout=_TIMEOUT_S)
    if finished.code != 0:
        raise CompareError(f"gcc does not compile {source}: {finished.stderr}")
    return made


def emitted(root: Path, names: Sequence[str], folder: Path) -> dict[str, Emitted]:
    """What the checkout `root` emits for networks of its zoo."""
    print(f"{root} emits {len(names)} networks ...", file=sys.stderr, flush=True)
    out = folder / "emitted.pickle"
    command = (sys.executable, "-P", "-c", _EMIT, str(root), str(out), *names)
    environment = {"PYTHONPATH": str(root)}
    finished = run_process(command, folder=folder, timeout=_TIMEOUT_S, environment=environment)
    if finished.code != 0:
        raise CompareError(f"{root} does not emit its networks:\n{finished.stderr}")
    return {
        name: Emitted(Project(name, files, sources, main, (), (), ()), case)
        for name, (files, sources, main, case) in pickle.loads(out.read_bytes()).items()
    }


def _target_counts(
    old: Mapping[str, Emitted], new: Mapping[str, Emitted], target: Target, plugin: Path
) -> dict[str, Counts]:
    """Every network that can be compared; of the others a line says why not."""
    counts = {}
    for name in old:
        try:
            found = compare(old[name], new[name], target, plugin)
        except (BuildFailure, ToolchainError, CompareError) as error:
            print(f"{target.name}: {name}: {error}", file=sys.stderr)
            continue
        counts[name] = found
        numbers = f"{found.before:>13,} {found.after:>13,} {found.ratio:6.3f}"
        print(f"{target.name:21} {name:30} {numbers}", flush=True)
    return counts


def compare(old: Emitted, new: Emitted, target: Target, plugin: Path) -> Counts:
    """Instructions of one inference of each; raises CompareError where their outputs differ or one does not run."""
    before, expected = _inference(old, target, plugin)
    after, found = _inference(new, target, plugin)
    if found != expected:
        raise CompareError("the outputs are not the older one's")
    return Counts(before, after)


def _inference(subject: Emitted, target: Target, plugin: Path) -> tuple[int, bytes]:
    """Instructions of one inference, and the outputs."""
    timer = counter(target.machine)  # a board's own, which no count depends on
    project = bench_project(subject.project, timer if isinstance(timer, Counter) else CLOCK)
    program = build(project, target).path
    one, outputs = _run(program, subject.case, target, plugin, runs=1)
    two, _ = _run(program, subject.case, target, plugin, runs=2)
    return two - one, outputs


def _run(
    program: Path, case: bytes, target: Target, plugin: Path, *, runs: int
) -> tuple[int, bytes]:
    words = ("input", "output", f"1x{runs}")
    qemu, *rest = target.machine.command(program, words)
    if not target.machine.runner:
        qemu, *rest = (*_HOST_RUNNER, str(program), *words)
    if not Path(qemu).name.startswith("qemu-"):
        raise CompareError(f"{qemu} is not QEMU, which counts instructions")
    with tempfile.TemporaryDirectory(prefix="ares-speed-") as name:
        folder = Path(name)
        (folder / "input").write_bytes(case)
        command = (qemu, "-plugin", str(plugin), *rest)
        finished = run_process(command, folder=folder, timeout=_TIMEOUT_S)
        last = finished.stderr.splitlines()[-1:] or [""]
        output = folder / "output"
        if finished.code != 0 or not last[0].startswith(_WORD) or not output.is_file():
            raise CompareError(f"it ended with {finished.code}: {last[0]}")
        return int(last[0].removeprefix(_WORD)), output.read_bytes()


def _record(
    path: Path, target: Target, counts: Mapping[str, Counts], before: str, after: str
) -> None:
    machine = target.machine
    runner = machine.identity() if machine.runner else " ".join(_HOST_RUNNER)
    compiler = target.compiler_identity().partition(" at ")[0]
    made = Compared(target.name, machine.isa, compiler, runner, before, after, counts)
    kept = read_speed(path.read_text(encoding="utf-8")) if path.exists() else ()
    write_file(path, write_speed(kept, made).encode())


def _commit(checkout: Path) -> str:
    """The commit of a checkout in which nothing is changed."""
    git = ("git", "-C", str(checkout.resolve()))
    asked = [(*git, "rev-parse", "HEAD"), (*git, "status", "--porcelain", "--untracked-files=no")]
    head, changed = (run_process(command, folder=ROOT, timeout=_TIMEOUT_S) for command in asked)
    if head.code != 0 or changed.stdout:
        raise CompareError(f"{checkout}: expected a checkout of a commit, with nothing changed")
    return head.stdout.strip()


def _runtime_digest(emitted: Mapping[str, Emitted]) -> str:
    """Of the runtime that all networks of a checkout have."""
    files = next(iter(emitted.values())).project.files
    runtime = {path: content for path, content in files.items() if path.startswith("runtime/")}
    return content_digest(runtime)[:16]


if __name__ == "__main__":
    with interruptible():
        sys.exit(main(sys.argv[1:]))

"""Prove the zoo and the examples on the default targets and record what was shown: docs/evidence/certificates.json.

    python tools/record_certificates.py [NAME ...]

Without names: all networks, then each example after two epochs of training, and the record is written. With names: what
is shown of these networks, and how long it takes, and nothing is written. Networks that passed in `ares networks` are
read from its cache, without torch. Exit code 1 where a layer is wrong, or not reached.
"""

import ast
import json
import os
import resource
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ares.evidence import write_record
from ares.pipeline.catalogue import Zoo
from ares.prover.proving import NOT_EXACT, kinds_of
from ares.prover.verdicts import Judged, prove_networks
from ares.resources import checkout_dir
from ares.toolchain.process import run_process
from ares.toolchain.selection import default_targets
from ares.verdict import Outcome

PATTERNS = ("ares/prover/*.py", "tools/*certificate*.py", "runtime/*/*.[ch]", "golden/*/*")
EPOCHS = ("--epochs", "2")
LONGEST = 1800.0  # seconds, of a training and of a proof


def main(names: list[str]) -> int:
    """Prove, print a line a model, record; the exit code."""
    root, start, jobs = checkout_dir(), time.monotonic(), os.cpu_count() or 1
    zoo = Zoo(root)
    targets = [target for target in default_targets() if target.missing() is None]
    chosen = [zoo.paths(name).name for name in names] or list(zoo.networks)
    judged = prove_networks(zoo, chosen, targets, jobs, tell)
    models = {judged_name(each): dict(Counter(kinds_of(each.proofs).values())) for each in judged}
    if not names:
        with ThreadPoolExecutor(jobs) as pool:
            models |= pool.map(example, sorted(root.glob("examples/*.py")))
    wrong = [name for name, kinds in models.items() if not kinds or NOT_EXACT in kinds]
    seconds = time.monotonic() - start
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in spent)
    print(
        f"{len(models)} models on {len(targets)} targets: {seconds:.0f} s, {cpu:.0f} s of processor; "
        f"wrong: {', '.join(wrong) or 'none'}"
    )
    if not names:
        figures = {
            "seconds": round(seconds),
            "targets": [target.name for target in targets],
            "models": models,
            "probes": sum(
                layer.probes for each in judged for p in each.proofs for layer in p.layers
            ),
        }
        write_record(root, "certificates", "python tools/record_certificates.py", PATTERNS, figures)
    return 1 if wrong else 0


def judged_name(judged: Judged) -> str:
    """The network's."""
    return judged.verdicts[0].network


def tell(judged: Judged) -> None:
    """A line a network, of the first verdict that failed or else the first."""
    failed = [verdict for verdict in judged.verdicts if verdict.outcome is Outcome.FAIL]
    first = (failed or judged.verdicts)[0]
    seconds = sum(verdict.seconds for verdict in judged.verdicts)
    print(f"{first.network}: {seconds:.0f} s: {first.message.splitlines()[0]}", flush=True)


def example(path: Path) -> tuple[str, dict[str, int]]:
    """Train it as its docstring says, but shortly; then prove it: its name, and its layers by kind."""
    _install, train, _check, verify, _export = commands(path)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name, "examples")
        place.symlink_to(path.parent)
        _run([sys.executable, "-P", *shlex.split(train)[1:], *EPOCHS], name)
        ares = [sys.executable, "-P", "-c", "from ares.cli import main; main()"]
        words = [*ares, "prove", *shlex.split(verify)[2:], "--json-out", "shown.json"]
        _run(words, name)
        shown = json.loads(Path(name, "shown.json").read_text())
    counts = Counter(shown["shown_for"].values())
    print(f"{path.name}: {dict(counts)}", flush=True)
    return f"examples/{path.name}", dict(counts)


def commands(path: Path) -> Iterator[str]:
    """The commands in the docstring of an example, in their order."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return (line.strip() for line in text.splitlines() if line.startswith("    "))


def _run(words: list[str], folder: str) -> None:
    done = run_process(words, folder=Path(folder), timeout=LONGEST)
    if done.code != 0:
        raise SystemExit(f"{shlex.join(words)}: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

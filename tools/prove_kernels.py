"""Show that no kernel has undefined behaviour, for all values: `python tools/prove_kernels.py [WORD ...] [--record]`.

Frama-C's Eva runs each kernel of `tests/proof/kernels.toml` at its geometries. WORD: only proofs with it in their name;
`--list` names them. `--record` writes docs/evidence/eva.json after a whole run. `--jobs N`: side by side, 2 without.

Exit code 1 for an alarm that `tests/proof/accepted.toml` does not explain, an explanation without its alarm, a harness
that no value passes and code that is not reached; 2 where Frama-C is missing or breaks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ares.cli.interrupts import interruptible  # noqa: E402 - found through the line above
from ares.evidence import write_record  # noqa: E402
from ares.toolchain.process import run_process, side_by_side  # noqa: E402
from tests.proof.catalogue import Proof, proofs, read_table  # noqa: E402
from tests.proof.eva import OPTIONS, EvaError, Found, missing_tools, prove  # noqa: E402
from tests.proof.judging import (  # noqa: E402
    accepted,
    by_kernel,
    coverage,
    files_without_proof,
    gone,
    is_vacuous,
    reasons_without_need,
    unaccepted,
    unreached,
)

COMMAND = "tox -e proof -- --record"
PATTERNS = ("runtime/src/*.c", "runtime/inc/*.h", "tests/proof/*", "tools/prove_kernels.py")


def main(arguments: Sequence[str]) -> int:
    """Prove, report, record; the exit code."""
    options = _parse(arguments)
    every = list(proofs())
    chosen = [
        proof
        for proof in every
        if not options.words or any(word in proof.name for word in options.words)
    ]
    if options.list:
        print("\n".join(proof.name for proof in chosen))
        return 0
    if not chosen:
        return _complain(f"no proof has {options.words[0]!r} in its name; --list names them all")
    if options.record and len(chosen) < len(every):
        return _complain("--record wants a whole run: name no proofs")
    missing = missing_tools()
    if missing:
        tool = "frama-c" if "frama-c-base" in missing else missing[0]
        return _complain(f"{tool} is not here: apt-get install {' '.join(missing)}")
    start = time.monotonic()
    done, broken = _prove_all(chosen, options.jobs)
    faults = _faults(done)
    is_whole = len(done) == len(every)
    if is_whole:
        faults += _faults_of_all(done)
    _summarise(done, broken, faults, time.monotonic() - start)
    if options.record and not faults and not broken:
        _record(done, time.monotonic() - start)
    return 2 if broken else 1 if faults else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args(arguments)


def _complain(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


def _prove_all(
    chosen: Sequence[Proof], jobs: int
) -> tuple[Mapping[Proof, Found], Mapping[Proof, str]]:
    done: dict[Proof, Found] = {}
    broken: dict[Proof, str] = {}
    with side_by_side(jobs) as pool:
        futures = {pool.submit(_prove_one, proof): proof for proof in chosen}
        for number, future in enumerate(as_completed(futures), 1):
            proof = futures[future]
            line = _settled(proof, future, done, broken)
            print(f"[{number}/{len(chosen)}] {proof.name}: {line}", flush=True)
    order = [proof for proof in chosen if proof in done]
    return {proof: done[proof] for proof in order}, broken


def _prove_one(proof: Proof) -> Found:
    with tempfile.TemporaryDirectory(prefix="ares-proof-") as folder:
        return prove(proof, Path(folder))


def _settled(
    proof: Proof, future: Future[Found], done: dict[Proof, Found], broken: dict[Proof, str]
) -> str:
    try:
        found = future.result()
    except EvaError as error:
        broken[proof] = str(error)
        return f"BROKE: {error}"
    done[proof] = found
    if is_vacuous(found):
        return "NO VALUE PASSES"
    bad = unaccepted(found)
    known = len(found.alarms) - len(bad)
    words = f"{len(bad)} ALARMS" if bad else "no alarm"
    return f"{words}{f', {known} accepted' if known else ''}, {found.seconds:.0f} s"


def _faults(done: Mapping[Proof, Found]) -> list[str]:
    faults: dict[str, list[str]] = {}
    for proof, found in done.items():
        for alarm in unaccepted(found):
            what = f"{alarm.file}:{alarm.line}: {alarm.function}: {alarm.kind}: {alarm.text}"
            faults.setdefault(what, []).append(proof.name)
        if is_vacuous(found):
            faults.setdefault("no value passes: a range or the geometry is empty", []).append(
                proof.name
            )
    return [f"{what}\n    {names[0]} ({len(names)} in all)" for what, names in faults.items()]


def _faults_of_all(done: Mapping[Proof, Found]) -> list[str]:
    covered = coverage(done.values())
    return [
        *(
            f"accepted, but no alarm any more: {row.function}: {row.text}"
            for row in gone(done.values())
        ),
        *(f"reached by no proof: {what}" for what in unreached(covered)),
        *(f"named in [not_reached], but reached: {name}" for name in reasons_without_need(covered)),
        *(f"runtime/src/{name} is in no proof" for name in files_without_proof()),
    ]


def _summarise(
    done: Mapping[Proof, Found], broken: Mapping[Proof, str], faults: Sequence[str], seconds: float
) -> None:
    print(f"\n{'kernel':28} proofs  alarms  accepted  seconds  statements reached of its file")
    for kernel, row in _rows(done).items():
        print(
            f"{kernel:28} {row['proofs']:6} {row['alarms']:7} {row['accepted']:9} "
            f"{row['seconds']:8.0f}  {row['reached_percent']:.1f} %"
        )
    for fault in faults:
        print(f"\n{fault}")
    for proof, message in broken.items():
        print(f"\n{proof.name}: {message}")
    verdict = "nothing undefined" if not faults and not broken else "NOT SHOWN"
    print(
        f"\n{verdict}: {len(done)} proofs of {len(by_kernel(done))} kernels, {len(faults)} faults, "
        f"{len(broken)} broke, {seconds:.0f} s"
    )


def _rows(done: Mapping[Proof, Found]) -> Mapping[str, Mapping[str, Any]]:
    rows = {}
    covered = coverage(done.values())
    for kernel, found in by_kernel(done).items():
        stem = read_table()["kernel"][kernel]["sources"][0]
        of_file = covered.get(f"runtime/src/{stem}.c")
        bad = {alarm for one in found for alarm in unaccepted(one)}
        rows[kernel] = {
            "proofs": len(found),
            "alarms": len(bad),
            "accepted": len({alarm for one in found for alarm in one.alarms} - bad),
            "seconds": round(sum(one.seconds for one in found), 1),
            "reached_percent": round(of_file.percent, 1) if of_file else 0.0,
        }
    return rows


def _record(done: Mapping[Proof, Found], seconds: float) -> None:
    version = run_process(["frama-c", "-version"], folder=ROOT, timeout=60.0).stdout.strip()
    gcc = run_process(["gcc", "--version"], folder=ROOT, timeout=60.0).stdout.splitlines()[0]
    covered = coverage(done.values())
    table = read_table()
    figures = {
        "frama_c": version,
        "gcc": gcc,
        "options": list(OPTIONS),
        "seconds": round(seconds, 1),
        "proofs": len(done),
        "kernels": _rows(done),
        "files": {
            file: {"statements": row.statements, "reached": row.reached, "missed": dict(row.missed)}
            for file, row in covered.items()
        },
        "not_reached": dict(table["not_reached"]),
        "not_read": dict(table["not_read"]),
        "accepted": [
            {"file": row.file, "function": row.function, "kind": row.kind, "reason": row.reason}
            for row in accepted()
        ],
    }
    print(write_record(ROOT, "eva", COMMAND, PATTERNS, figures))


if __name__ == "__main__":
    with interruptible():
        sys.exit(main(sys.argv[1:]))

"""Prove networks of the zoo on the default targets and record what was shown: docs/evidence/certificates.json.

    python tools/record_certificates.py [NAME ...]

Without names: all networks, and the record is written. With names: what is shown of these, and how long it takes, and
nothing is written. Exit code 1 where a layer is wrong.
"""

import resource
import sys
import time
from collections import Counter

from ares.evidence import write_record
from ares.pipeline.catalogue import Zoo
from ares.pipeline.network import NetworkSubject
from ares.prover.proving import Proven, prove
from ares.resources import checkout_dir
from ares.toolchain.selection import default_targets

PATTERNS = ("ares/prover/*.py", "tools/*certificate*.py", "runtime/*/*.[ch]", "golden/*/*")


def main(names: list[str]) -> int:
    """Prove, print a line a network, record; the exit code."""
    zoo, start, found = Zoo(checkout_dir()), time.monotonic(), []
    targets = [target for target in default_targets() if target.missing() is None]
    for name in names or zoo.networks:
        result = prove(NetworkSubject(zoo.paths(name)), targets)
        found.append(result)
        print(
            f"{name}: {'right' if result.passed else 'WRONG'}; {result.proofs[0].summary()}",
            flush=True,
        )
    seconds = time.monotonic() - start
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in spent)
    print(
        f"{len(found)} networks on {len(targets)} targets: {seconds:.0f} s, {cpu:.0f} s of processor"
    )
    if not names:
        command = "python tools/record_certificates.py"
        figures = {
            "seconds": round(seconds),
            "networks": {each.network: _figures(each) for each in found},
        }
        write_record(checkout_dir(), "certificates", command, PATTERNS, figures)
    return 0 if all(result.passed for result in found) else 1


def _figures(result: Proven) -> dict[str, object]:
    """Layers by kind, probes and faults, by target."""
    return {
        proof.target: {
            "kinds": dict(Counter(layer.kind for layer in proof.layers)),
            "probes": sum(layer.probes for layer in proof.layers),
            "wrong": [layer.layer for layer in proof.faults],
        }
        for proof in result.proofs
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

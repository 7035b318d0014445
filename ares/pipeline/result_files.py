"""A whole run for machines: JSON with every verdict, and JUnit's XML as continuous integration reads it."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

from ares.pipeline.matrix import Matrix
from ares.toolchain import Target
from ares.verdict import Outcome, Verdict

# XML 1.0 has no way to write these, and reports quote what programs print.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(matrix: Matrix) -> str:
    """`passed`: nothing failed; `targets`: what each was; `verdicts`: every cell."""
    content = {
        "seconds": round(matrix.seconds, 3),
        "passed": not matrix.failures,
        "counts": {outcome.value: len(matrix.having(outcome)) for outcome in Outcome},
        "targets": {target.name: target_facts(target) for target in matrix.targets},
        "patterns": {name: list(facts) for name, facts in matrix.patterns.items()},
        "verdicts": [verdict.as_json() for verdict in matrix.verdicts],
    }
    return json.dumps(content, indent=1) + "\n"


def as_junit(matrix: Matrix) -> str:
    """One test suite a subject, one test case a cell; what did not run is skipped, with its reason."""
    root = ElementTree.Element("testsuites", name="ares", time=f"{matrix.seconds:.3f}")
    for name in matrix.subjects:
        verdicts = [verdict for verdict in matrix.verdicts if verdict.network == name]
        skipped = [v for v in verdicts if not v.outcome.facts.judged]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=NOT_XML.sub("?", name),
            tests=str(len(verdicts)),
            failures=str(sum(v.outcome is Outcome.FAIL for v in verdicts)),
            errors="0",
            skipped=str(len(skipped)),
            time=f"{sum(v.seconds for v in verdicts):.3f}",
        )
        for verdict in verdicts:
            _junit_case(suite, verdict)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _junit_case(suite: ElementTree.Element, verdict: Verdict) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=NOT_XML.sub("?", verdict.network),
        name=verdict.stage,
        time=f"{verdict.seconds:.3f}",
    )
    text = NOT_XML.sub("?", verdict.message)
    if verdict.outcome is Outcome.FAIL:
        first = next(iter(text.splitlines()), verdict.fault)
        failure = ElementTree.SubElement(case, "failure", type=verdict.fault, message=first)
        failure.text = text
    elif not verdict.outcome.facts.judged:
        ElementTree.SubElement(case, "skipped", message=f"{verdict.outcome.value}: {text}")
    elif text:
        ElementTree.SubElement(case, "system-out").text = f"{verdict.outcome.value}: {text}"


def target_facts(target: Target) -> dict[str, object]:
    """What a target is, as plain values."""
    return {
        "description": target.description,
        "machine": target.machine.name,
        "isa": target.machine.isa,
        "byte_order": target.machine.byte_order,
        "pointer_bits": target.machine.pointer_bits,
        "compiler": target.family,
        "flags": list(target.flags),
    }

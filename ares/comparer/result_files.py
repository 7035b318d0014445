"""Comparisons for machines: JSON with every row, and JUnit's XML as continuous integration reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from xml.etree import ElementTree

from ares.comparer.comparing import Comparison
from ares.comparer.judging import DIFFERS, FAILED, UNSAID, Row
from ares.pipeline.result_files import NOT_XML


def as_json(comparisons: Sequence[Comparison]) -> str:
    """`equal`: nothing differs; `comparisons`: a runtime each, with every layer and output."""
    content = {
        "equal": all(each.is_equal for each in comparisons),
        "comparisons": [asdict(each) for each in comparisons],
    }
    return json.dumps(content, indent=1) + "\n"


def as_junit(comparisons: Sequence[Comparison]) -> str:
    """One test suite a runtime and view, one test case a layer or output; what cannot be said is skipped."""
    root = ElementTree.Element("testsuites", name="ares compare")
    for each in comparisons:
        for view, rows in (("layer by layer", each.layers), ("as deployed", each.deployed)):
            suite = ElementTree.SubElement(
                root,
                "testsuite",
                name=NOT_XML.sub("?", f"{each.network}: {each.runtime}, {view}"),
                tests=str(len(rows)),
                failures=str(sum(row.verdict in (DIFFERS, FAILED) for row in rows)),
                errors="0",
                skipped=str(sum(row.verdict == UNSAID for row in rows)),
            )
            for row in rows:
                _case(suite, each, row)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, comparison: Comparison, row: Row) -> None:
    name = NOT_XML.sub("?", f"{row.layer} {row.tensor}")
    case = ElementTree.SubElement(suite, "testcase", classname=comparison.network, name=name)
    text = NOT_XML.sub("?", said(row))
    if row.verdict in (DIFFERS, FAILED):
        ElementTree.SubElement(case, "failure", message=text)
    elif row.verdict == UNSAID:
        ElementTree.SubElement(case, "skipped", message=text)


def said(row: Row) -> str:
    """A row in a line."""
    if row.verdict != DIFFERS or row.first is None:
        return f"{row.verdict}: {row.words}" if row.words else row.verdict
    case, place, golden, found = row.first
    words = (
        f"{row.differing} of {row.codes} differ, by up to {row.largest:.3g}; "
        f"first case {case} at {list(place)}: {found:g}, the model means {golden:g}"
    )
    if row.theirs or row.ours:
        words += f"; theirs up to {row.theirs:.3g} codes beyond half a step, ours {row.ours:.3g}"
    return f"{words}; {row.cause}" if row.cause else words

"""A Report for people: what is wrong first, then every layer, the verdict last. Readable at 60 columns."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ares.checker.report import Report
from ares.extract import NOT_JUDGED, TAKEN_INTO, Finding, Status
from ares.tables import Column, fitting_table

_STYLES = {Status.SUPPORTED: "green", Status.WARNING: "yellow", Status.ERROR: "bold red"}


def render(report: Report, width: int) -> RenderableType:
    """Header, notes on the inputs, errors, warnings, table of layers, one line of summary.

    `width`: columns of the terminal. Names of users are never read as markup.
    """
    header = Text(f"{report.network}: {report.model}, inputs {_inputs(report)}")
    style = "bold green" if report.compatible else "bold red" if report.known else "bold yellow"
    parts: list[RenderableType] = [header, *(Text(note, "yellow") for note in report.notes)]
    if report.errors or report.warnings:
        parts += [Text(), _problems(report)]
    if report.layers:
        parts += [Text(), _layers(report, width)]
    return Group(*parts, Text(), Text(report.summary, style))


def _inputs(report: Report) -> str:
    shapes = ", ".join(map(str, report.shapes))
    if not shapes or shapes in report.inputs:
        return report.inputs
    return f"{shapes} from {report.inputs}"


def _problems(report: Report) -> Table:
    """Errors, then warnings; what several layers have in common is advised once."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column()
    for status, findings in ((Status.ERROR, report.errors), (Status.WARNING, report.warnings)):
        for suggestion, group in _by_suggestion(findings):
            for finding in group:
                table.add_row(Text(status.value, _STYLES[status]), _problem(finding))
            if suggestion:
                table.add_row("", Text(f"-> {suggestion}"))
    return table


def _by_suggestion(findings: Iterable[Finding]) -> Iterable[tuple[str, list[Finding]]]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.suggestion, []).append(finding)
    return groups.items()


def _problem(finding: Finding) -> Text:
    return Text.assemble(
        (finding.layer or "(model)", "bold"), f" ({finding.layer_type}): {finding.reason}"
    )


_COLUMNS = (Column("layer"), Column("type", spare=1), Column("OpType", spare=2), Column("status"))


def _layers(report: Report, width: int) -> Table:
    rows = []
    for layer in report.layers:
        findings = [finding for finding in report.findings if finding.layer == layer]
        worst = min(findings, key=lambda finding: _SEVERITY[finding.status])
        taker = worst.op_type or _taker(worst)
        rows.append([Text(layer), Text(worst.layer_type), Text(taker), _status(worst)])
    return fitting_table(_COLUMNS, rows, width)


def _taker(finding: Finding) -> str:
    """Which layer computes this one, "" if it is none other."""
    taken = finding.reason.startswith(TAKEN_INTO)
    return f"in {finding.reason.removeprefix(TAKEN_INTO)}" if taken else ""


def _status(finding: Finding) -> Text:
    if finding.reason == NOT_JUDGED:
        return Text("not judged", "dim")
    return Text(finding.status.value, _STYLES[finding.status])


_SEVERITY = {Status.ERROR: 0, Status.WARNING: 1, Status.SUPPORTED: 2}

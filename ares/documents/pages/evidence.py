"""`docs/evidence.md`: what the harness would catch, measured, from the records in `docs/evidence/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ares.documents.markdown import document
from ares.evidence import read_record

PATH = "docs/evidence.md"
Record = Mapping[str, Any]
_HEAD = (
    "A verification tool is worth what it would have caught. Each part below is a record of a command, which makes",
    "it again; `python tools/check_evidence.py` says which records rest on files that have changed since. What",
    "remains to be believed: [soundness.md](soundness.md).",
)
# A record's holes and survivors are named; of more than these, the rest is in the record.
_NAMED = 40


def content(root: Path, _current: str) -> str:
    """The page."""
    return document("Evidence", [*_HEAD, *_sections(root)])


def _sections(root: Path) -> Iterator[str]:
    for part, (title, lines) in _PARTS.items():
        record = read_record(root, part)
        yield from ("", f"## {title}", "")
        if record is None:
            yield "Not recorded yet."
            continue
        yield from lines(record)
        yield from ("", f"{_made(part, record)}")


def _made(part: str, record: Record) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in record["packages"].items())
    return (
        f"`{record['command']}`, {record['date']}, {record['machine']}, {versions}; sources "
        f"`{record['sources'][:12]}`; [the whole record](evidence/{part}.json)"
    )


def _planted(record: Record) -> Iterator[str]:
    families: dict[str, list[Record]] = {}
    for row in record["rows"]:
        families.setdefault(row["id"].partition("/")[0], []).append(row)
    yield from (
        f"{record['named']} of {record['faults']} planted faults were seen, with the stage, the kind and the layer",
        "that their rows in `tests/planted` say. The same faults, judged as others do it:",
        "",
        f"| of the {record['compared']} faults that are not the harness's own | seen | |",
        "|---|---|---|",
        _rival(record, record["compared"], "ARES, the layer named"),
        _rival(
            record,
            record["rivals"]["twin"],
            "each layer of the C against its own Python, made alike",
        ),
        _rival(record, record["rivals"]["outputs_exact"], "final outputs, exactly"),
        _rival(
            record,
            record["rivals"]["outputs_near"],
            f"final outputs, to {record['tolerance']:.0%} of their range",
        ),
        "",
        "| family | faults | named |",
        "|---|---|---|",
    )
    for family, rows in families.items():
        yield f"| {family} | {len(rows)} | {sum(row['right'] for row in rows)} |"


def _rival(record: Record, seen: int, who: str) -> str:
    return f"| {who} | {seen} | {_share(seen, record['compared'])} |"


def _fuzz(record: Record) -> Iterator[str]:
    first, last = record["seeds"]
    cells = record["coverage"]
    yield from (
        f"{record['graphs']} random Brevitas models, each from its seed ({first} to {last}), on",
        f"{', '.join(f'{name} ({said})' for name, said in record['targets'].items())}:",
        f"{record['accepted']} were mapped, {record['cases']} cases run, {record['layers']} tensors compared by all",
        f"witnesses, {record['graphs_per_second']} models a second. Nothing that was found is open.",
        f"{sum(record['refused'].values())} models were refused, with a reason:",
        "",
        "| reason | models |",
        "|---|---|",
        *(f"| {reason} | {count} |" for reason, count in _first(record["refused"].items())),
        "",
        f"Of {cells['possible']} kinds of operation, type, parameter and neighbour {cells['drawn']} were drawn. "
        + _named("Never drawn", cells["holes"]),
        "",
        "| found, and mended | by |",
        "|---|---|",
        *(f"| {row['once']} | {row['by']}, {row['date']} |" for row in record["found"]),
    )


def _mutation(record: Record) -> Iterator[str]:
    yield from (
        "Mutants of the sources; those whose object code is the same are counted apart.",
        "",
        "| | drawn | same code | claimed equivalent | killed | survived | killed of the rest "
        "| by goldens and suites alone |",
        "|---|---|---|---|---|---|---|---|",
    )
    languages = [(name, record[name]) for name in ("c", "python") if name in record]
    for name, found in languages:
        alone = f"{found['goldens_share']:.1%}" if "goldens_share" in found else ""
        yield (
            f"| {name} | {found['drawn']} | {found['equivalent']} | {found['claimed']} | {found['killed']} "
            f"| {found['survived']} | {found['killed_share']:.1%} | {alone} |"
        )
    for name, found in languages:
        yield from _survivors(name, found)
        for mutant, reason in found["claims"].items():
            yield f"- `{mutant}` is equivalent: {reason}"


def _survivors(language: str, found: Record) -> Iterator[str]:
    if found["survivors"]:
        yield from ("", f"Survivors in {language}:", "")
    for row in found["survivors"]:
        yield f"- `{row['mutant']}`, line {row['line']}: `{_code(row['before'])}` → `{_code(row['after'])}`"


def _certificates(record: Record) -> Iterator[str]:
    kinds = list(dict.fromkeys(kind for row in record["models"].values() for kind in row))
    yield from (
        "For which inputs each layer's compiled kernel was shown to be right (`ares prove`, decided by",
        f"`tools/check_certificate.py`), the least of {', '.join(record['targets'])}; {record['seconds']} s:",
        "",
        f"| model | {' | '.join(kinds)} |",
        f"|---|{'---|' * len(kinds)}",
    )
    for name, row in record["models"].items():
        yield f"| `{name}` | {' | '.join(str(row.get(kind, '')) for kind in kinds)} |"


def _eva(record: Record) -> Iterator[str]:
    alarms = sum(row["alarms"] for row in record["kernels"].values())
    yield from (
        f"Frama-C's Eva ({record['frama_c']}), all values within the headers' ranges: {record['proofs']} proofs,",
        f"{alarms} alarms that are not explained, {len(record['accepted'])} that are.",
        "",
        "| kernel | proofs | alarms | explained | statements of its file reached |",
        "|---|---|---|---|---|",
    )
    for kernel, row in record["kernels"].items():
        yield (
            f"| `{kernel}` | {row['proofs']} | {row['alarms']} | {row['accepted']} | {row['reached_percent']} % |"
        )
    for row in record["accepted"]:
        yield f"- explained: `{row['file']}`, `{row['function']}`, {row['kind']}: {row['reason']}"
    for name, why in record["not_read"].items():
        yield f"- not read: `{name}`: {why}"


def _theorems(record: Record) -> Iterator[str]:
    yield from (
        "Of the compiled formulas, as the compiler has them (LLVM's intermediate form), by an SMT solver:",
        "",
        "| theorem | for all | | questions |",
        "|---|---|---|---|",
    )
    for row in record["theorems"]:
        words = (_code(row[key]) for key in ("says", "for_all"))
        yield f"| {' | '.join(words)} | {row['verdict']} | {row['questions']} |"
    for name, why in record["not_proved"].items():
        yield f"- not proved: `{name}`: {why}"


def _coverage(record: Record) -> Iterator[str]:
    whole, emitted = record["all"], record["emitted"]
    yield from (
        f"By the stored goldens and suites alone, in the builds {', '.join(record['builds'])}:",
        "",
        "| | branches | MC/DC |",
        "|---|---|---|",
        *(
            f"| {name} | {row['branches_met']} of {row['branches']} | {row['mcdc_met']} of {row['mcdc']} |"
            for name, row in (("`runtime/`", whole), ("emitted C", emitted))
        ),
        "",
        f"{len(record['reasons'])} lines have a reason why something of them is not met,",
        f"{len(record['without_reason'])} have none. Not on this processor:",
        f"{', '.join(record['not_on_this_processor'])}.",
        "",
    )
    for row in record["reasons"]:
        yield f"- `{row['file']}`: `{_code(row['line'])}` ({', '.join(row['lacks'])}): {row['why']}"


def _named(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    rest = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{what}: {', '.join(names[:_NAMED])}{rest}."


def _first(rows: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """The largest by name, the others as one row."""
    ordered = sorted(rows, key=lambda row: -row[1])
    yield from ((_code(reason), count) for reason, count in ordered[:_NAMED])
    if len(ordered) > _NAMED:
        yield "others", sum(count for _, count in ordered[_NAMED:])


def _code(text: str) -> str:
    """On one line of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"


_PARTS: Mapping[str, tuple[str, Callable[[Record], Iterator[str]]]] = {
    "planted": ("Planted faults, and what other methods see of them", _planted),
    "fuzz": ("Random models", _fuzz),
    "mutation": ("Mutants", _mutation),
    "certificates": ("Certificates: every input", _certificates),
    "eva": ("No undefined behaviour", _eva),
    "theorems": ("The requantiser, for all parameters", _theorems),
    "coverage": ("Branches and conditions", _coverage),
}

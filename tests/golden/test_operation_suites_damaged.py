"""A stored suite that is damaged, in any byte or in what its manifest says, is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ares.golden import MANIFEST, GoldenError
from ares.golden import operations as suites
from ares.golden.operations import GRAPH, load_operation_suite, pack_suite, stored_digests
from ares.golden.store import compress, decompress
from ares.ir import save_graph
from tests.golden.suites import negated_twice

# --- damage


def _refused(folder: Path, *says: str) -> None:
    with pytest.raises(GoldenError) as caught:
        load_operation_suite(folder)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "python tools/regenerate_golden.py" in text
    for words in says:
        assert words in text


def _edit(folder: Path, edit: Callable[[Any], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_nothing_there(tmp_path: Path) -> None:
    _refused(tmp_path / "ops_fm", "there is no golden", "regenerate_golden.py ops_fm")
    with pytest.raises(GoldenError, match="there is no golden"):
        stored_digests(tmp_path / "ops_fm")


@pytest.mark.parametrize("name", [GRAPH, "case_oracle.safetensors.zst"])
def test_a_file_is_missing_or_cut(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        (folder / name).write_bytes(whole[:length])
        _refused(folder, name)
    (folder / name).unlink()
    _refused(folder, f"{name}: is missing")


@pytest.mark.parametrize("name", [GRAPH, "case_oracle.safetensors.zst"])
def test_any_bit_is_wrong(folder: Path, name: str) -> None:
    """Refused; a bit of the Graph's file may also mean nothing to the decompressor."""
    whole = (folder / name).read_bytes()
    content = decompressed(whole)
    refused = 0
    for at in range(0, len(whole), 7):
        wrong = bytearray(whole)
        wrong[at] ^= 1 << at % 8
        (folder / name).write_bytes(wrong)
        if name == GRAPH and decompressed(wrong) == content:
            continue
        _refused(folder, name)
        refused += 1
    assert refused > 0.9 * len(whole) / 7


def decompressed(data: bytes) -> bytes:
    try:
        return decompress(Path(), bytes(data))
    except GoldenError:
        return b""


def test_another_graph(folder: Path) -> None:
    """Even one whose digest the manifest was made to record."""
    graph = load_operation_suite(folder).graph
    scaled = tuple(replace(tensor, scale=0.25) for tensor in graph.tensors)
    other = save_graph(replace(graph, tensors=scaled))
    (folder / GRAPH).write_bytes(compress(other))
    _refused(folder, f"{GRAPH}: not the Graph that the manifest records")
    _edit(folder, lambda m: m["provenance"].update(graph_sha256=suites.sha256(other)))
    _refused(folder, "flip.it: its digest is not the case's")
    _replace_graph(folder, save_graph(negated_twice("ops_fm")))
    _refused(folder, "golden and Graph have different layers")
    _replace_graph(folder, b"no Graph")
    _refused(folder, f"{GRAPH}: not a Graph file")


def _replace_graph(folder: Path, data: bytes) -> None:
    (folder / GRAPH).write_bytes(compress(data))
    _edit(folder, lambda m: m["provenance"].update(graph_sha256=suites.sha256(data)))


def _without(holder: Any, key: Any) -> None:
    del holder[key]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m.update(network="ops_ae"), "not the manifest of suite ops_fm"),
        (lambda m: m.update(cases=[]), "expected each of oracle once"),
        (lambda m: m["cases"][0].update(name="edge"), "is missing"),
        (lambda m: m["provenance"].pop("graph_sha256"), "damaged manifest (KeyError"),
        (lambda m: m["provenance"].pop("cases"), "damaged manifest (KeyError"),
        (lambda m: m["provenance"].update(cases=7), "damaged manifest (TypeError"),
        (lambda m: m["provenance"]["cases"].pop(), "linear.it.a_tie: in the list of cases or in"),
        (lambda m: m["provenance"]["cases"][1].update(name="linear.it.b"), "linear.it.b: in the"),
        (
            lambda m: m["provenance"]["cases"][1].update(digest="0" * 32),
            "its digest is not the case",
        ),
        (lambda m: m["cases"][0]["layers"].pop(), "is not the one in the manifest"),
        (lambda m: m["cases"][0]["layers"][0].update(stem="add"), "flip.it::a: its record is not"),
        (lambda m: m["cases"][0]["layers"][0].update(distinct=1), "flip.it::a: its record is not"),
        (lambda m: m["cases"][0]["layers"][0].update(layer="x"), "flip.it::a: its record is not"),
        (lambda m: m["cases"][0]["stored"].pop(), "stores other tensors than the manifest"),
    ],
)
def test_the_manifest_says_something_else(
    folder: Path, edit: Callable[[Any], None], says: str
) -> None:
    _edit(folder, edit)
    _refused(folder, says)


def test_a_tensor_is_not_stored(folder: Path) -> None:
    suite = load_operation_suite(folder)
    (case,) = suite.golden.cases
    arrays = {name: array for name, array in case.arrays.items() if name != "flip.it::a"}
    golden = replace(suite.golden, cases=(replace(case, arrays=arrays),))
    for name, data in pack_suite(replace(suite, golden=golden)).items():
        (folder / name).write_bytes(data)
    _refused(folder, "'flip.it::a' is not stored whole")


def test_a_graph_file_is_what_it_says(folder: Path) -> None:
    data = decompress(folder / GRAPH, (folder / GRAPH).read_bytes())
    assert data == save_graph(load_operation_suite(folder).graph)

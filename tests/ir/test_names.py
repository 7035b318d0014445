"""Names that users gave: carried as one word and given back, refused in one line where they cannot be."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ares.ir import GraphError
from ares.ir.names import (
    C_KEYWORDS,
    LONGEST,
    ROOT,
    carried,
    file_stem,
    identifier,
    is_carried,
    one_line,
    own,
    path_of,
    refusal,
)
from tests.emit.test_symbols import network

TEXT = st.text(min_size=1, max_size=40)
NASTY = st.text(st.sampled_from("#% \t\n\x85\u2028\u202e\x1b\x000A2é卷.a_\"'\\"), min_size=1)


@given(TEXT | NASTY)
def test_a_path_is_carried_as_one_word_and_comes_back(path: str) -> None:
    assume(path != ROOT)  # no path: names of modules have no dot
    if refusal(path) is not None:
        assert re.search("%[0-9A-F]{2}", path)
        return
    word = carried(path)
    assert is_carried(word)
    assert "#" not in word
    assert word.split() == [word]
    assert word.isprintable()
    assert own(word) == path
    assert path_of(f"{word}#3") == path
    assert carried(word) == word


@given(NASTY, NASTY)
def test_two_paths_never_become_one(first: str, second: str) -> None:
    if refusal(first) is None and refusal(second) is None:
        assert (carried(first) == carried(second)) == (first == second)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a\udce9", "half a surrogate pair"),
        ("a%20b", "% and two hexadecimal digits"),
        ("a" * (LONGEST + 1), "at most 1000"),
        ("\n" * (LONGEST // 3 + 1), "at most 1000"),
    ],
)
def test_what_cannot_be_carried(path: str, why: str) -> None:
    found = refusal(path)
    assert found is not None
    assert why in found
    assert found.isprintable()


@pytest.mark.parametrize(
    "path", ["layer1.0.conv", "a" * LONGEST, "100%", "%2g", "%", "größe", "卷积"]
)
def test_usual_names_stay_as_they_are(path: str) -> None:
    assert refusal(path) is None
    assert carried(path) == one_line(path) == path


@given(st.text(max_size=40))
def test_a_message_is_one_line_that_a_terminal_shows(text: str) -> None:
    assert one_line(text).isprintable()
    assert one_line(one_line(text)) == one_line(text)


@given(TEXT | NASTY | st.sampled_from(sorted(C_KEYWORDS)) | st.from_regex(r"(?i)\A(ares|op)_\w*\Z"))
def test_identifiers_are_c_and_not_ours(text: str) -> None:
    name = identifier(text)
    assert re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,121}", name)
    assert name not in C_KEYWORDS
    assert not re.match("(?i)ares_", name)


def test_long_names_stay_apart() -> None:
    first, second = ("x" * 5000 + end for end in "ab")
    assert len(identifier(first)) <= 122
    assert identifier(first) != identifier(second)
    assert file_stem(first, ()) != file_stem(second, ())
    assert len(file_stem(first, ())) <= 60


@pytest.mark.parametrize(
    "name", ["Main", "main", "MEAN", "CON", "nul", "stdint", "String", "test", "m"]
)
def test_stems_that_others_claim(name: str) -> None:
    stem = file_stem(name, {"main", "mean"})
    assert stem.endswith("_network")
    assert file_stem(f"{name}_two", {"main", "mean"}) == f"{name}_two"


def test_a_graph_refuses_names_that_it_cannot_carry() -> None:
    graph, _ = network("net", 1)
    first, second, *rest = graph.operations
    with pytest.raises(GraphError, match=f"two layers are called '{first.name}'"):
        replace(graph, operations=(first, replace(second, name=first.name), *rest)).validate()
    for name in ("a b", "a\n", "", "a\udce9", "a" * 5000):
        with pytest.raises(
            GraphError, match="is no name of a layer, expected one printable word"
        ) as refused:
            replace(graph, operations=(replace(first, name=name), second, *rest)).validate()
        assert len(str(refused.value)) < 300
        tensors = (replace(graph.tensors[0], name=name), *graph.tensors[1:])
        with pytest.raises(GraphError, match="is no name of a tensor"):
            replace(graph, tensors=tensors, inputs=(name,)).validate()

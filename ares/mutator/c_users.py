"""Which sources of the runtime a mutant may change: its own, or those that use what a header has of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from ares.mutator.c_operators import function_texts
from ares.mutator.mutant import Mutant

_WORD = re.compile(rb"\w+")
# Bytes of a source that is compiled in a moment, and how many of those come first.
_LIGHT, _FIRST = 6000, 6


def users(mutant: Mutant, runtime: Mapping[str, bytes]) -> list[list[str]]:
    """Groups of sources to be compiled anew, the last of which are all that a mutant may change.

    Of a function in a header these are all that name it, or name another that does. A few light ones come first: what
    is seen in those need not be compiled in the others.
    """
    if mutant.file.endswith(".c"):
        return [[mutant.file]]
    names = {mutant.place.function.encode()}
    if names & {b"enum", b"data"}:
        found = [path for path in runtime if path.endswith(".c")]
    else:
        found = _naming(frozenset(names), tuple(sorted(runtime.items())))
    found = [path for path in sorted(found) if path.startswith("runtime/src/")]
    light = [path for path in found if len(runtime[path]) < _LIGHT][:_FIRST]
    return [light, found] if light and light != found else [found]


@lru_cache(maxsize=256)
def _naming(names: frozenset[bytes], runtime: tuple[tuple[str, bytes], ...]) -> list[str]:
    headers = [text for path, text in runtime if path.endswith(".h")]
    inner = [each for text in headers for each in _words_of(text)]
    known = set(names)
    size = 0
    while size != len(known):
        size = len(known)
        known |= {name for name, words in inner if words & known}
    sources = [(path, text) for path, text in runtime if path.endswith(".c")]
    return [path for path, text in sources if _words(text) & known]


@lru_cache(maxsize=512)
def _words_of(text: bytes) -> tuple[tuple[bytes, frozenset[bytes]], ...]:
    """The functions and macros of a header, and the words in each."""
    return tuple((name.encode(), _words(part)) for name, part in function_texts(text).items())


@lru_cache(maxsize=2048)
def _words(text: bytes) -> frozenset[bytes]:
    return frozenset(_WORD.findall(text))

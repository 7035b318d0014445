"""Names that users gave, made safe for the Graph, the trace, C, files and terminals: the only place that does so.

A module may be called anything that `add_module` takes (no dot, not empty), a model's file anything that the file
system takes. `carried` gives the form in which a module's path goes through everything from the Graph on, `own` gives
the user's form back. `identifier` and `file_stem` make C of a name; many names make the same C name, so whoever uses
them keeps track of those that are taken. `refusal` says in one line why a path cannot be carried at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from urllib.parse import unquote

ROOT = "."
"""The layer that the model itself is, whose path is empty: no module can be called so."""

LONGEST = 1000
"""Characters of a module's path in its carried form."""
_LONGEST_CARRIED = 4 * LONGEST  # with the names of functions and the number of the call behind it
_LONGEST_IDENTIFIER = 120
_LONGEST_STEM = 60
_ESCAPED = re.compile(r"(?:%[0-9A-F]{2})+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


C_KEYWORDS = _words(
    """auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while"""
    # of C++, which reads the header as well
    """ alignas alignof and and_eq asm bitand bitor bool catch char16_t char32_t char8_t class co_await
    co_return co_yield compl concept consteval constexpr constinit const_cast decltype delete dynamic_cast
    explicit export false friend mutable namespace new noexcept not not_eq nullptr operator or or_eq private
    protected public reinterpret_cast requires static_assert static_cast template this thread_local throw true
    try typeid typename using virtual wchar_t xor xor_eq"""
)
# C's own headers, and those that they reach in the C libraries that we know (tests/emit/test_names_in_c.py asks these):
# a network's header beside the sources would be found before them.
_HEADERS = _words(
    """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic
    stdbit stdbool stdckdint stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar wchar
    wctype alloca availability availabilityinternal availabilityinternallegacy availabilityversions byteswap corecrt
    corecrt_memory corecrt_stdio_config crtdefs endian features malloc memory newlib picolibc reent sal stdio_s string_s
    types unistd vadefs vcruntime xlocale"""
)
# What Windows keeps for devices, CMake for its own targets, and linkers for libraries of their own (`-lm`).
_SYSTEM = _words(
    """con prn aux nul com0 com1 com2 com3 com4 com5 com6 com7 com8 com9 lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8
    lpt9 all all_build clean edit_cache experimental continuous nightly help install package package_source preinstall
    rebuild_cache run_tests test zero_check atomic c dl g gcc m nosys rt util"""
)


def carried(name: str) -> str:
    """A module's path as a word: whatever is not printable, white space and `#` as %XX of its UTF-8.

    `#` is left to the numbers of calls. A path that is carried already stays as it is.
    """
    return "".join(
        "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))
        if character == "#" or character.isspace() or not character.isprintable()
        else character
        for character in name
    )


def own(name: str) -> str:
    """The inverse of `carried`."""
    return _ESCAPED.sub(lambda found: unquote(found[0]), name)


def path_of(layer: str) -> str:
    """The user's path of a layer of the Graph: its name without the number of the call."""
    name = layer.partition("#")[0]
    return "" if name == ROOT else own(name)


def one_line(text: str) -> str:
    """Text of users for a message: as it is, but for characters that a terminal obeys or that end a line."""
    return "".join(
        character if character == " " or character.isprintable() else carried(character)
        for character in text
    )


def refusal(path: str) -> str | None:
    """Why a module's path cannot be carried; None where it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name holds half a surrogate pair, which is no text"
    if _ESCAPED.search(path):
        return "its name holds % and two hexadecimal digits, by which ARES writes characters that are none of a word"
    if len(carried(path)) > LONGEST:
        return f"its path has {len(carried(path))} characters, at most {LONGEST} can be carried"
    return None


def is_carried(name: str) -> bool:
    """Whether a name of the Graph can go where names go: one printable word of text."""
    word = name.replace("#", "")
    return 0 < len(name) <= _LONGEST_CARRIED and carried(word) == word


def identifier(text: str) -> str:
    """A C identifier made of `text`, none that C or the runtime claims; a long one ends in a digest of the text."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", text)
    if len(name) > _LONGEST_IDENTIFIER:
        name = _shortened(name, text, _LONGEST_IDENTIFIER)
    claimed = re.match(r"(?i:ares)(_|$)|OP_|OpType$", name) or name in C_KEYWORDS
    return name if name[:1].isalpha() and not claimed else f"n_{name}"


def file_stem(network: str, taken: Collection[str]) -> str:
    """The stem of a network's files and the prefix of its C names; `taken`: stems of other files, in lower case.

    A name that is one of those, of a header of C, of a device of Windows or the like gets a suffix, whatever its case.
    """
    name = identifier(network)
    if len(name) > _LONGEST_STEM:
        name = _shortened(name, network, _LONGEST_STEM)
    reserved = name.lower() in taken or name.lower() in _HEADERS | _SYSTEM
    return f"{name}_network" if reserved else name


def _shortened(name: str, text: str, length: int) -> str:
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{name[: length - 9]}_{digest}"

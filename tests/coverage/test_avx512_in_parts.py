"""ares/toolchain/avx512_in_parts.h does what Intel says of each lane, and what a processor with AVX-512 does.

The last is tried where there is such a processor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from ares.resources import runtime_dir
from ares.toolchain import TARGETS, Target
from ares.toolchain.process import run_process
from ares.toolchain.processors import host_lacks
from ares.toolchain.rows import STANDARD, in_parts

CHECK = Path(__file__).with_name("avx512_check.c")
FLAGS = ("-O1", *STANDARD, "-Wall", "-Wextra", "-Werror")
FEATURES = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512vbmi")
ROUNDS = 60
Values = Sequence[int]
Vectors = Mapping[str, bytes]


def _target() -> Target:
    (plain,) = [target for target in TARGETS if target.name == "gcc-O2"]
    target = in_parts(plain)
    missing = target.missing()
    if missing is not None:
        pytest.skip(missing)
    return target


def _shown(folder: Path, *flags: str) -> list[str]:
    command = ("gcc", *FLAGS, *flags, str(CHECK), "-o", "check")
    built = run_process(command, folder=folder, timeout=300)
    assert built.code == 0, built.stderr
    finished = run_process((str(folder / "check"), str(ROUNDS)), folder=folder, timeout=60)
    assert finished.code == 0, finished.stderr
    return finished.stdout.splitlines()


def _by_header(folder: Path) -> list[str]:
    flags = _target().flags
    return _shown(folder, *flags[flags.index("-include") :])


# --- what is meant


def _two(kind: str, value: Callable[[int, int], int]) -> Callable[[Vectors], bytes]:
    """Lane by lane of a and b; higher bits go."""
    unsigned = kind.replace("i", "u")
    top = (1 << (8 * int(kind[1:]))) - 1

    def found(v: Vectors) -> bytes:
        pairs = zip(_of(v["a"], kind), _of(v["b"], kind), strict=True)
        return np.array([value(x, y) & top for x, y in pairs], dtype=unsigned).tobytes()

    return found


def _mask(
    kind: str, holds: Callable[[int, int], bool], *, some: bool = False
) -> Callable[[Vectors], bytes]:
    def found(v: Vectors) -> bytes:
        x, y = _of(v["a"], kind), _of(v["b"], kind)
        k = int.from_bytes(v["k"], "little") if some else -1
        bits = sum(holds(p, q) << i for i, (p, q) in enumerate(zip(x, y, strict=True)))
        return (bits & k).to_bytes(len(x) // 8, "little")

    return found


def _mixed(
    kind: str, on: Callable[[Vectors], bytes], off: Callable[[Vectors], bytes]
) -> Callable[[Vectors], bytes]:
    def found(v: Vectors) -> bytes:
        k = int.from_bytes(v["k"], "little")
        pairs = zip(_of(on(v), kind), _of(off(v), kind), strict=True)
        return np.array(
            [p if k >> i & 1 else q for i, (p, q) in enumerate(pairs)], dtype=kind
        ).tobytes()

    return found


def _wider(kind: str, wide: str) -> Callable[[Vectors], bytes]:
    return lambda v: np.frombuffer(v["a"], kind)[: 64 // int(wide[1:])].astype(wide).tobytes()


def _table(kind: str, names: str, at: str) -> Callable[[Vectors], bytes]:
    """Of the lanes of the vectors `names`, side by side, those that the lanes of `at` say."""

    def found(v: Vectors) -> bytes:
        table = np.concatenate([np.frombuffer(v[name], kind) for name in names])
        places = np.frombuffer(v[at], kind) & np.array(len(table) - 1, kind)
        return table[places.astype(int)].tobytes()

    return found


def _shifted(kind: str, count: int | None = None, *, up: bool) -> Callable[[Vectors], bytes]:
    """All lanes alike, by what b's low 64 bits say."""

    def found(v: Vectors) -> bytes:
        n = min(_of(v["b"], "u8")[0] if count is None else count, 64)
        return _two(kind, lambda x, _: x << n if up else x >> n)(v)

    return found


def _dots(v: Vectors, kinds: str) -> bytes:
    first, second = (
        np.frombuffer(v[name], kind).astype(np.int64)
        for name, kind in zip("bc", kinds.split(), strict=True)
    )
    sums = (first * second).reshape(16, -1).sum(axis=1) + np.frombuffer(v["a"], "i4")
    return (sums & 0xFFFFFFFF).astype("u4").tobytes()


def _of(data: bytes, kind: str) -> list[int]:
    return [int(value) for value in np.frombuffer(data, kind)]


def _signed(bits: int, x: int) -> int:
    return (x & ((1 << bits) - 1)) - ((x >> (bits - 1) & 1) << bits)


def _packed(kind: str, low: int, high: int) -> Callable[[Vectors], bytes]:
    """Of each 128 bits those of a, then those of b, as near as half the bits come."""
    half = f"u{int(kind[1:]) // 2}"

    def found(v: Vectors) -> bytes:
        a, b = (np.frombuffer(v[name], kind).reshape(4, -1) for name in "ab")
        both = np.clip(np.concatenate([a, b], axis=1), low, high)
        return both.astype(half.replace("u", "i") if low else half).tobytes()

    return found


def _b(v: Vectors) -> bytes:
    return v["b"]


def _a(v: Vectors) -> bytes:
    return v["a"]


def _zero(v: Vectors) -> bytes:
    return bytes(64)


def _float(v: Vectors, first: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> bytes:
    """The first operand where it is more (or less), else the second, also where one is a NaN."""
    a, b = np.frombuffer(v["a"], "f4"), np.frombuffer(v["b"], "f4")
    return np.where(first(a, b), v_bits(v["a"]), v_bits(v["b"])).tobytes()


def v_bits(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "u4")


def _nearest(v: Vectors) -> bytes:
    with np.errstate(invalid="ignore"):
        a = np.rint(np.frombuffer(v["a"], "f4").astype("f8"))
    fits = (a >= -(2**31)) & (a < 2**31)
    return np.where(fits, a, -(2.0**31)).astype("i4").tobytes()


_ADD64, _AND = _two("u8", lambda x, y: x + y), _two("u8", lambda x, y: x & y)
_MAX8 = _two("u1", max)
MEANT: Mapping[str, Callable[[Vectors], bytes]] = {
    **{f"add_epi{8 * n}": _two(f"u{n}", lambda x, y: x + y) for n in (4, 8)},
    **{f"sub_epi{8 * n}": _two(f"u{n}", lambda x, y: x - y) for n in (1, 4, 8)},
    "and_si512": _AND,
    "andnot_si512": _two("u8", lambda x, y: ~x & y),
    "or_si512": _two("u8", lambda x, y: x | y),
    "xor_si512": _two("u8", lambda x, y: x ^ y),
    **{f"max_epi{8 * n}": _two(f"i{n}", max) for n in (1, 4, 8)},
    **{f"min_epi{8 * n}": _two(f"i{n}", min) for n in (1, 4, 8)},
    "max_epu8": _MAX8,
    "min_epu8": _two("u1", min),
    "min_epu32": _two("u4", min),
    "mul_epi32": _two("i8", lambda x, y: _signed(32, x) * _signed(32, y)),
    "mul_epu32": _two("u8", lambda x, y: (x & 0xFFFFFFFF) * (y & 0xFFFFFFFF)),
    "mullo_epi64": _two("u8", lambda x, y: x * y),
    "rorv_epi64": _two("u8", lambda x, y: (x << 64 | x) >> (y & 63)),
    **{f"sllv_epi{8 * n}": _two(f"u{n}", lambda x, y: x << min(y, 64)) for n in (4, 8)},
    **{f"srlv_epi{8 * n}": _two(f"u{n}", lambda x, y: x >> min(y, 64)) for n in (4, 8)},
    "srav_epi32": _two("i4", lambda x, y: x >> min(y & 0xFFFFFFFF, 64)),
    "srav_epi64": _two("i8", lambda x, y: x >> min(y & (2**64 - 1), 64)),
    "cmpeq_epu8_mask": _mask("u1", lambda x, y: x == y),
    "cmpgt_epu8_mask": _mask("u1", lambda x, y: x > y),
    "cmplt_epu8_mask": _mask("u1", lambda x, y: x < y),
    "cmpgt_epi32_mask": _mask("i4", lambda x, y: x > y),
    **{f"test_epi{8 * n}_mask": _mask(f"u{n}", lambda x, y: x & y != 0) for n in (1, 4, 8)},
    **{f"testn_epi{8 * n}_mask": _mask(f"u{n}", lambda x, y: x & y == 0) for n in (4, 8)},
    **{f"movepi{8 * n}_mask": _mask(f"i{n}", lambda x, _: x < 0) for n in (1, 4)},
    "mask_cmpeq_epu8_mask": _mask("u1", lambda x, y: x == y, some=True),
    "mask_cmplt_epu32_mask": _mask("u4", lambda x, y: x < y, some=True),
    "packs_epi32": _packed("i4", -(2**15), 2**15 - 1),
    "packs_epi16": _packed("i2", -128, 127),
    "packus_epi16": _packed("i2", 0, 255),
    "permutexvar_epi8": _table("u1", "b", "a"),
    "permutexvar_epi32": _table("u4", "b", "a"),
    "permutexvar_epi64": _table("u8", "b", "a"),
    "permutex2var_epi8": _table("u1", "ac", "b"),
    "permutex2var_epi64": _table("u8", "ac", "b"),
    "dpbusd_epi32": lambda v: _dots(v, "u1 i1"),
    "dpwssd_epi32": lambda v: _dots(v, "i2 i2"),
    "reduce_add_epi32": lambda v: (sum(_of(v["a"], "u4")) & 0xFFFFFFFF).to_bytes(4, "little"),
    "extracti32x4_epi32": lambda v: v["a"][48:],
    "extracti64x4_epi64": lambda v: v["a"][32:],
    "inserti32x4": lambda v: v["a"][:32] + v["b"][:16] + v["a"][48:],
    "inserti64x4": lambda v: v["a"][:32] + v["b"][:32],
    "broadcast_i32x4": lambda v: 4 * v["a"][:16],
    "shuffle_i32x4": lambda v: v["a"][32:] + v["b"][:32],
    "shuffle_epi32": lambda v: v_bits(v["a"]).reshape(8, 2)[:, ::-1].tobytes(),
    "cvtepi8_epi16": _wider("i1", "i2"),
    **{f"cvtepi8_epi{8 * n}": _wider("i1", f"i{n}") for n in (2, 4, 8)},
    **{f"cvtepu8_epi{8 * n}": _wider("u1", f"u{n}") for n in (2, 4, 8)},
    "cvtepi16_epi64": _wider("i2", "i8"),
    "cvtepi32_epi64": _wider("i4", "i8"),
    "cvtepu16_epi64": _wider("u2", "u8"),
    "cvtepu32_epi64": _wider("u4", "u8"),
    "cvtepi32_epi8": lambda v: v["a"][::4],
    "cvtepi64_epi8": lambda v: v["a"][::8] + bytes(8),
    "sll_epi32": _shifted("u4", up=True),
    "sll_epi64": _shifted("u8", up=True),
    "sra_epi32": _shifted("i4", up=False),
    "sra_epi64": _shifted("i8", up=False),
    "srai_epi64": _shifted("i8", 65, up=False),
    "srai_epi32": _shifted("i4", 31, up=False),
    "slli_epi16": _shifted("u2", 8, up=True),
    "slli_epi32": _shifted("u4", 5, up=True),
    "srli_epi64": _shifted("u8", 33, up=False),
    **{f"mask_mov_epi{8 * n}": _mixed(f"u{n}", _b, _a) for n in (1, 2, 4)},
    "mask_add_epi64": _mixed("u8", _ADD64, _a),
    "mask_and_epi32": _mixed("u4", _AND, _a),
    "mask_max_epu8": _mixed("u1", _MAX8, _a),
    **{f"maskz_loadu_epi{8 * n}": _mixed(f"u{n}", _a, _zero) for n in (1, 4, 8)},
    "mask_loadu_epi8": _mixed("u1", _a, _b),
    "mask_storeu_epi8": _mixed("u1", _b, _a),
    "max_ps": lambda v: _float(v, np.greater),
    "min_ps": lambda v: _float(v, np.less),
    "cvtepi32_ps": lambda v: np.frombuffer(v["a"], "i4").astype("f4").tobytes(),
    "cvt_roundps_epi32": _nearest,
}
"""Of most. Of what AVX2 does by halves (unpack, madd, shuffle_epi8) and cmp_ps_mask only a processor judges."""
JUDGED_THERE = 7


def _rounds(lines: Sequence[str]) -> Iterator[dict[str, bytes]]:
    found: dict[str, bytes] = {}
    for name, data in (line.split() for line in lines):
        if name == "a" and found:
            yield found
            found = {}
        assert name not in found
        found[name] = bytes.fromhex(data)
    yield found


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_lanes_are_what_is_meant(tmp_path: Path) -> None:
    rounds = list(_rounds(_by_header(tmp_path)))
    assert len(rounds) == ROUNDS
    others = {*rounds[0]} - {*MEANT} - {*"abck"}
    assert {*MEANT} <= {*rounds[0]}
    assert len(others) == JUDGED_THERE, others
    wrong = {
        name for values in rounds for name, meant in MEANT.items() if values[name] != meant(values)
    }
    assert wrong == set()


def test_a_processor_with_avx512_gives_the_same(tmp_path: Path) -> None:
    lacking = host_lacks(FEATURES)
    if lacking:
        pytest.skip(f"this machine's processor has no {lacking}")
    (tmp_path / "header").mkdir()
    assert _by_header(tmp_path / "header") == _shown(tmp_path)


def test_every_name_is_one_that_a_kernel_uses() -> None:
    header = Path(_target().flags[_target().flags.index("-include") + 1])
    named = re.findall(r"^#define (_mm\w+)", header.read_text(encoding="utf-8"), re.MULTILINE)
    kernels = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("inc", "src")
        for path in (runtime_dir() / folder).glob("micro*avx512.*")
    )
    assert [name for name in named if not re.search(rf"{name}\b", kernels)] == []

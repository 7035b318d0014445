"""How a row of the table of targets is made, by the kind of its compiler: flags and needs that such rows share.

Everything is built with -std=c11 -ffp-contract=off unless its row says otherwise: contraction changes floating point
without a word (N9). `runs` is the instruction set whose micro-kernels the programs of a row must say that they run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ares.toolchain.machines import HOST, PYTHON
from ares.toolchain.processors import NATIVE
from ares.toolchain.target import Machine, Needs, Target

STANDARD = ("-std=c11", "-ffp-contract=off")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
SECTIONS = ("-ffunction-sections", "-fdata-sections")
COMMON = (*STANDARD, *WARNINGS, *SECTIONS)
# Kernels that no table of the network names are dropped.
LINK = ("-Wl,--gc-sections",)
# What runs where the processor has no micro-kernels of its own (runtime/src/micro_portable.c).
PORTABLE = "portable"
# The seventh decimal of every float depends on it: refused at the start where the compiler does contract.
CONTRACT = ("-std=gnu11", "-ffp-contract=fast", *WARNINGS, *SECTIONS)

_IN_PARTS = tuple(
    Path(__file__).with_name(name) for name in ("avx512_in_parts.h", "avx512_meaning.h")
)
# Bits of CPUID leaf 7, ecx.
VBMI = 1 << 1
VNNI = 1 << 11

GCC = Needs(commands=("gcc", "ar"), debian=("gcc", "libc6-dev"))
_CLANG = Needs(commands=("clang-19", "ar"), debian=("clang-19", "libclang-rt-19-dev", "libc6-dev"))
_ZIG = Needs(modules=("ziglang",), pip=("ziglang",))

ASAN = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# Nothing is allocated, and the search for leaks fails where ptrace is forbidden (containers).
ASAN_ENVIRONMENT = (("ASAN_OPTIONS", "detect_leaks=0"), ("UBSAN_OPTIONS", "print_stacktrace=1"))


def zig_triple(machine: str) -> str:
    """The host, named as zig does. Without a -target zig means this very processor (-march=native)."""
    names = {"amd64": "x86_64", "arm64": "aarch64", "i686": "x86", "ppc64le": "powerpc64le"}
    return f"{names.get(machine.lower(), machine.lower())}-linux-musl"


def gcc(name: str, *flags: str, says: str, common: Sequence[str] = COMMON, **more: Any) -> Target:
    """The host's gcc."""
    return Target(
        name=f"gcc-{name}",
        family="gcc",
        compiler=("gcc",),
        archiver=more.pop("archiver", ("ar",)),
        flags=(*flags, *common),
        link_flags=LINK,
        description=says,
        machine=HOST,
        needs=more.pop("needs", GCC),
        trace="full",
        instruction_set=more.pop("runs", NATIVE),
        **more,
    )


def in_parts(target: Target, *, claims: int = VNNI | VBMI) -> Target:
    """A target of an x86 whose programs run the kernels for AVX-512 on any processor with AVX2, by other instructions.

    `claims`: which of VBMI and VNNI the programs shall find; without VNNI they run the kernels for AVX2.
    """
    header = _IN_PARTS[0]
    # Files that are included by force are no part of what is built, but for this.
    text = b"".join(path.read_bytes() for path in _IN_PARTS)
    digest = hashlib.sha256(text).hexdigest()[:8]
    more = ("-include", str(header), "-Wno-psabi")
    defined = (f"-DARES_CLAIMED={claims:#x}u", f"-DARES_IN_PARTS=0x{digest}u")
    return replace(
        target,
        flags=(*target.flags, *more, *defined),
        instruction_set="avx512-vnni" if claims & VNNI else "avx2",
        features=("avx2",),
    )


def clang(name: str, *flags: str, says: str, **more: Any) -> Target:
    """Debian's clang."""
    return Target(
        name=f"clang-{name}",
        family="clang",
        compiler=("clang-19",),
        archiver=("ar",),
        flags=(*flags, *COMMON),
        link_flags=LINK,
        description=says,
        machine=HOST,
        needs=_CLANG,
        trace="full",
        instruction_set=NATIVE,
        **more,
    )


def zig(
    name: str,
    triple: str,
    machine: Machine,
    *flags: str,
    says: str,
    common: Sequence[str] = COMMON,
    link: Sequence[str] = ("-s",),
    runs: str = PORTABLE,
    **more: Any,
) -> Target:
    """Clang, as zig brings it, with the C library that zig builds for the target."""
    command = (*PYTHON, "-m", "ziglang")
    return Target(
        name=name,
        family="zig",
        compiler=(*command, "cc"),
        archiver=(*command, "ar"),
        flags=("-target", triple, *flags, *common),
        link_flags=(*LINK, *link),
        description=says,
        machine=machine,
        needs=_ZIG + more.pop("needs", Needs()),
        instruction_set=runs,
        **more,
    )


# Processor -> what Debian calls its compiler and its C library.
_CROSS = {
    "aarch64": ("aarch64-linux-gnu", "libc6-dev-arm64-cross"),
    "alpha": ("alpha-linux-gnu", "libc6.1-dev-alpha-cross"),
    "armel": ("arm-linux-gnueabi", "libc6-dev-armel-cross"),
    "armhf": ("arm-linux-gnueabihf", "libc6-dev-armhf-cross"),
    "hppa": ("hppa-linux-gnu", "libc6-dev-hppa-cross"),
    "i686": ("i686-linux-gnu", "libc6-dev-i386-cross"),
    "m68k": ("m68k-linux-gnu", "libc6-dev-m68k-cross"),
    "mips": ("mips-linux-gnu", "libc6-dev-mips-cross"),
    "mips64": ("mips64-linux-gnuabi64", "libc6-dev-mips64-cross"),
    "mips64el": ("mips64el-linux-gnuabi64", "libc6-dev-mips64el-cross"),
    "mipsel": ("mipsel-linux-gnu", "libc6-dev-mipsel-cross"),
    "powerpc": ("powerpc-linux-gnu", "libc6-dev-powerpc-cross"),
    "powerpc64": ("powerpc64-linux-gnu", "libc6-dev-ppc64-cross"),
    "powerpc64le": ("powerpc64le-linux-gnu", "libc6-dev-ppc64el-cross"),
    "riscv64": ("riscv64-linux-gnu", "libc6-dev-riscv64-cross"),
    "s390x": ("s390x-linux-gnu", "libc6-dev-s390x-cross"),
    "sh4": ("sh4-linux-gnu", "libc6-dev-sh4-cross"),
    "sparc64": ("sparc64-linux-gnu", "libc6-dev-sparc64-cross"),
}


def cross(
    machine: Machine,
    label: str,
    *flags: str,
    says: str,
    common: Sequence[str] = COMMON,
    static: bool = True,
    runs: str = PORTABLE,
) -> Target:
    """Debian's cross gcc of a processor."""
    triple, libc = _CROSS[machine.name]
    needs = Needs(commands=(f"{triple}-gcc", f"{triple}-ar"), debian=(f"gcc-{triple}", libc))
    return Target(
        name=f"{machine.name}-gcc-{label}",
        family="gcc",
        compiler=(f"{triple}-gcc",),
        archiver=(f"{triple}-ar",),
        flags=(*flags, *common),
        link_flags=(*LINK, "-static") if static else LINK,
        description=says,
        machine=machine,
        needs=needs,
        instruction_set=runs,
    )


def x86(machine: Machine, runs: str, *, says: str) -> Target:
    """The host's own gcc where that is an x86-64, its programs on an older one."""
    return Target(
        name=f"{machine.name}-gcc-O2",
        family="gcc",
        compiler=("x86_64-linux-gnu-gcc",),
        archiver=("x86_64-linux-gnu-ar",),
        flags=("-O2", *COMMON),
        link_flags=(*LINK, "-static"),
        description=says,
        machine=machine,
        needs=Needs(("x86_64-linux-gnu-gcc", "x86_64-linux-gnu-ar"), debian=GCC.debian),
        instruction_set=runs,
    )


def cross_zig(machine: Machine, triple: str, *flags: str, says: str, **more: Any) -> Target:
    """Zig's clang for a processor whose glibc Debian has: dynamic, so that no C library is built."""
    gnu, libc = _CROSS[machine.name]
    emulator = Machine(
        machine.name,
        machine.isa,
        machine.byte_order,
        machine.pointer_bits,
        machine.char,
        (*machine.runner, "-L", f"/usr/{gnu}"),
        needs=machine.needs + Needs(debian=(libc,)),
    )
    return zig(
        f"{machine.name}-zig-{more.pop('label', 'O2')}", triple, emulator, *flags, says=says, **more
    )


FREESTANDING = ("-ffreestanding", "-fbuiltin", "-fno-math-errno")


def cortex(
    machine: Machine, name: str, *flags: str, says: str, floats: str = "hard", runs: str = "dsp"
) -> Target:
    """A Cortex-M without an operating system."""
    return Target(
        name=name,
        family="gcc",
        compiler=("arm-none-eabi-gcc",),
        archiver=("arm-none-eabi-ar",),
        flags=("-mthumb", f"-mfloat-abi={floats}", *flags, *FREESTANDING, *COMMON),
        link_flags=LINK,
        description=says,
        machine=machine,
        needs=Needs(
            commands=("arm-none-eabi-gcc", "arm-none-eabi-ar"), debian=("gcc-arm-none-eabi",)
        ),
        instruction_set=runs,
    )


def rv32(machine: Machine, name: str, *flags: str, says: str) -> Target:
    """A 32-bit RISC-V without an operating system."""
    return Target(
        name=name,
        family="gcc",
        compiler=("riscv64-unknown-elf-gcc",),
        archiver=("riscv64-unknown-elf-ar",),
        # Any other way of naming the extensions selects the 64-bit libgcc.
        flags=("-misa-spec=2.2", *flags, *FREESTANDING, *COMMON),
        link_flags=LINK,
        description=says,
        machine=machine,
        needs=Needs(
            commands=("riscv64-unknown-elf-gcc", "riscv64-unknown-elf-ar"),
            debian=("gcc-riscv64-unknown-elf",),
        ),
        instruction_set=PORTABLE,
    )

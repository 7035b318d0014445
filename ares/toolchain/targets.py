"""The table of targets: every compiler, processor and set of flags on which the zoo is compared.

One row a target; adding one is adding a row. Names: `<compiler>-<flags>` on the host, `<processor>-<compiler>-<flags>`
elsewhere. What was found out about each is in docs/targets.md. Everything is built with -std=c11
-ffp-contract=off unless its row says otherwise: contraction changes floating point without a word (N9).
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

from ares.toolchain.machines import (
    AARCH64,
    ALPHA,
    ARMEL,
    ARMHF,
    CORTEX_M4,
    CORTEX_M7,
    CORTEX_M55,
    HOST,
    HPPA,
    I686,
    M68K,
    MIPS,
    MIPS64,
    MIPS64EL,
    MIPSEL,
    POWERPC,
    POWERPC64,
    POWERPC64LE,
    PYTHON,
    RISCV32,
    RISCV64,
    S390X,
    SH4,
    SPARC64,
    VIRT_RV32,
    VIRT_RV32_FPU,
    WASM32,
)
from ares.toolchain.target import Machine, Needs, Target

STANDARD = ("-std=c11", "-ffp-contract=off")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
SECTIONS = ("-ffunction-sections", "-fdata-sections")
COMMON = (*STANDARD, *WARNINGS, *SECTIONS)
# Kernels that no table of the network names are dropped.
LINK = ("-Wl,--gc-sections",)
# The seventh decimal of every float depends on it: refused at the start where the compiler does contract.
CONTRACT = ("-std=gnu11", "-ffp-contract=fast", *WARNINGS, *SECTIONS)


_GCC = Needs(commands=("gcc", "ar"), debian=("gcc", "libc6-dev"))
_CLANG = Needs(commands=("clang-19", "ar"), debian=("clang-19", "libclang-rt-19-dev", "libc6-dev"))
_ZIG = Needs(modules=("ziglang",), pip=("ziglang",))

ASAN = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# Nothing is allocated, and the search for leaks fails where ptrace is forbidden (containers).
ASAN_ENVIRONMENT = (("ASAN_OPTIONS", "detect_leaks=0"), ("UBSAN_OPTIONS", "print_stacktrace=1"))


def _zig_triple(machine: str) -> str:
    """The host, named as zig does. Without a -target zig means this very processor (-march=native)."""
    names = {"amd64": "x86_64", "arm64": "aarch64", "i686": "x86", "ppc64le": "powerpc64le"}
    return f"{names.get(machine.lower(), machine.lower())}-linux-musl"


def _gcc(name: str, *flags: str, says: str, common: Sequence[str] = COMMON, **more: Any) -> Target:
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
        needs=more.pop("needs", _GCC),
        trace="full",
        **more,
    )


def _clang(name: str, *flags: str, says: str, **more: Any) -> Target:
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
        **more,
    )


def _zig(
    name: str,
    triple: str,
    machine: Machine,
    *flags: str,
    says: str,
    common: Sequence[str] = COMMON,
    link: Sequence[str] = ("-s",),
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


def _cross(
    machine: Machine,
    label: str,
    *flags: str,
    says: str,
    common: Sequence[str] = COMMON,
    static: bool = True,
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
    )


def _cross_zig(machine: Machine, triple: str, *flags: str, says: str, **more: Any) -> Target:
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
    return _zig(
        f"{machine.name}-zig-{more.pop('label', 'O2')}", triple, emulator, *flags, says=says, **more
    )


FREESTANDING = ("-ffreestanding", "-fbuiltin", "-fno-math-errno")


def _cortex(machine: Machine, name: str, *flags: str, says: str) -> Target:
    """A Cortex-M without an operating system."""
    return Target(
        name=name,
        family="gcc",
        compiler=("arm-none-eabi-gcc",),
        archiver=("arm-none-eabi-ar",),
        flags=("-mthumb", "-mfloat-abi=hard", *flags, *FREESTANDING, *COMMON),
        link_flags=LINK,
        description=says,
        machine=machine,
        needs=Needs(
            commands=("arm-none-eabi-gcc", "arm-none-eabi-ar"), debian=("gcc-arm-none-eabi",)
        ),
    )


def _rv32(machine: Machine, name: str, *flags: str, says: str) -> Target:
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
    )


_M4 = ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16")

TARGETS = (
    # The host, and what everybody has.
    _gcc("O2", "-O2", says="the host's gcc, optimised", default=True),
    _gcc(
        "asan",
        *ASAN,
        says="the host's gcc with address and undefined-behaviour sanitizers",
        run_environment=ASAN_ENVIRONMENT,
        guarded=True,
        default=True,
    ),
    _zig(
        "zig-O2",
        _zig_triple(platform.machine()),
        HOST,
        # -O2 is not for speed alone: without any -O zig adds traps for undefined behaviour.
        "-O2",
        says="clang, as zig brings it: where there is no system compiler",
        trace="full",
        default=True,
    ),
    _zig(
        "wasm32-zig-O2",
        "wasm32-wasi",
        WASM32,
        "-O2",
        says="WebAssembly in wasmtime",
        default=True,
    ),
    # The host with other flags.
    _gcc("O0", "-O0", says="not optimised"),
    _gcc("O3-native", "-O3", "-march=native", says="vectorised for this very processor"),
    _gcc("Os", "-Os", says="for size"),
    _gcc(
        "lto",
        *("-O2", "-flto"),
        says="optimised across files",
        archiver=("gcc-ar",),
        needs=Needs(commands=("gcc", "gcc-ar"), debian=_GCC.debian),
    ),
    _gcc("unsigned-char", "-O2", "-funsigned-char", says="char unsigned, as on Arm"),
    _gcc("wrapv", "-O2", "-fwrapv", says="signed overflow defined: nothing may depend on it"),
    _gcc("contract", "-O2", says="contraction allowed, no FMA to contract to", common=CONTRACT),
    _zig(
        "zig-O0-ubsan",
        _zig_triple(platform.machine()),
        HOST,
        says="zig's default: not optimised, traps on undefined behaviour",
        trace="full",
    ),
    _clang(
        "O3-native",
        # clang 19 warns of what it finds itself where -march=native meets AVX10.
        *("-O3", "-march=native", "-Wno-invalid-feature-combination"),
        says="vectorised for this very processor",
    ),
    _clang("Oz", "-Oz", says="for size"),
    _clang(
        "msan",
        *("-O1", "-g", "-fsanitize=memory", "-fno-sanitize-recover=all"),
        says="reads of memory that nobody wrote are reported",
        guarded=True,
    ),
    _clang(
        "asan",
        *ASAN,
        says="clang's own address and undefined-behaviour sanitizers",
        run_environment=ASAN_ENVIRONMENT,
        guarded=True,
    ),
    Target(
        name="tcc",
        family="tcc",
        compiler=("tcc",),
        archiver=("ar",),
        # Knows no other warnings, and drops no sections.
        flags=("-std=c11", "-Wall", "-Werror"),
        link_flags=(),
        description="a second C front end, without optimisation",
        machine=HOST,
        needs=Needs(commands=("tcc", "ar"), debian=("tcc", "libc6-dev")),
        trace="full",
    ),
    # Other processors.
    _cross(AARCH64, "O2", "-O2", says="64-bit Arm"),
    _cross(AARCH64, "O0", "-O0", says="64-bit Arm, not optimised"),
    _cross(AARCH64, "O3", "-O3", says="64-bit Arm, vectorised"),
    _cross(AARCH64, "contract", "-O2", says="multiplies and adds in one rounding", common=CONTRACT),
    _cross_zig(AARCH64, "aarch64-linux-gnu", "-O2", says="64-bit Arm by clang"),
    _cross(ARMHF, "O2", "-O2", says="32-bit Arm, hard float"),
    _cross(ARMHF, "O3", "-O3", "-mfpu=neon", says="32-bit Arm, vectorised"),
    _cross(ARMEL, "O2", "-O2", says="32-bit Arm without FPU: floating point in software"),
    _cross(I686, "O2", "-O2", says="x87: intermediate results wider than binary32"),
    _cross(
        I686, "sse", "-O2", "-msse2", "-mfpmath=sse", says="32-bit x86 with binary32 arithmetic"
    ),
    _zig("riscv32-zig-O2", "riscv32-linux-musl", RISCV32, "-O2", says="32-bit RISC-V by clang"),
    _cross(RISCV64, "O2", "-O2", says="64-bit RISC-V"),
    _cross(RISCV64, "Os", "-Os", says="64-bit RISC-V, for size"),
    _cross_zig(
        RISCV64,
        "riscv64-linux-gnu",
        "-O2",
        says="multiplies and adds in one rounding",
        common=CONTRACT,
        label="contract",
    ),
    _cross(S390X, "O2", "-O2", says="big-endian, 64 bits"),
    _cross(S390X, "O0", "-O0", says="big-endian, not optimised"),
    _cross(S390X, "O3", "-O3", says="big-endian, most optimised"),
    _cross_zig(S390X, "s390x-linux-gnu", "-O2", says="big-endian by clang"),
    _cross(POWERPC, "O2", "-O2", says="big-endian, 32 bits"),
    _cross(POWERPC64, "O2", "-O2", says="big-endian, 64 bits"),
    _cross(POWERPC64LE, "O2", "-O2", says="the little-endian sister"),
    _cross(MIPS, "O2", "-O2", says="big-endian, 32 bits, char signed"),
    _cross(MIPSEL, "O2", "-O2", says="the little-endian sister"),
    _cross(MIPS64, "O2", "-O2", says="big-endian, 64 bits"),
    _cross(MIPS64EL, "O2", "-O2", says="the little-endian sister"),
    _cross(M68K, "O2", "-O2", says="big-endian, int64 aligned to 2, wide intermediate floats"),
    _cross(HPPA, "O2", "-O2", says="big-endian, NaNs of the other kind"),
    _cross(SPARC64, "O2", "-O2", says="big-endian, traps on misaligned access"),
    _cross(ALPHA, "O2", "-O2", says="64 bits without byte instructions", static=False),
    _cross(SH4, "O2", "-O2", says="known not to run in QEMU 7.2", static=False),
    # Boards without an operating system.
    _cortex(CORTEX_M4, "m4-gcc-O2", *_M4, "-O2", says="microcontroller, fast"),
    _cortex(CORTEX_M4, "m4-gcc-Os", *_M4, "-Os", says="microcontroller, small"),
    _cortex(
        CORTEX_M7,
        "m7-gcc-O2",
        *("-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-O2"),
        says="microcontroller, dual issue",
    ),
    _cortex(
        CORTEX_M55,
        "m55-gcc-O3",
        *("-mcpu=cortex-m55", "-O3"),
        says="microcontroller with vectors (MVE)",
    ),
    _rv32(
        VIRT_RV32,
        "rv32-gcc-O2",
        *("-march=rv32imac", "-mabi=ilp32", "-O2"),
        says="microcontroller, floating point in software",
    ),
    _rv32(
        VIRT_RV32_FPU,
        "rv32-gcc-fpu",
        *("-march=rv32imafdc", "-mabi=ilp32d", "-O2"),
        says="microcontroller with FPU",
    ),
)

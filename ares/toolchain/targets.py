"""The table of targets: every compiler, processor and set of flags on which the zoo is compared.

One row a target; adding one is adding a row. Names: `<compiler>-<flags>` on the host, `<processor>-<compiler>-<flags>`
elsewhere. What was found out about each is in docs/targets.md. Everything is built with -std=c11
-ffp-contract=off unless its row says otherwise: contraction changes floating point without a word (N9).
"""

from __future__ import annotations

import difflib
import platform
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from ares.toolchain.faults import ToolchainError
from ares.toolchain.target import Machine, Needs, Target

STANDARD = ("-std=c11", "-ffp-contract=off")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
SECTIONS = ("-ffunction-sections", "-fdata-sections")
COMMON = (*STANDARD, *WARNINGS, *SECTIONS)
# Kernels that no table of the network names are dropped.
LINK = ("-Wl,--gc-sections",)
# The seventh decimal of every float depends on it: refused at the start where the compiler does contract.
CONTRACT = ("-std=gnu11", "-ffp-contract=fast", *WARNINGS, *SECTIONS)

# With -P, no file that happens to lie in the current folder is taken for a module of ours.
PYTHON = (sys.executable, "-P")

HOST = Machine(
    "host", platform.machine(), sys.byteorder, 64 if sys.maxsize > 2**32 else 32, needs=Needs()
)

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


def _emulated(
    name: str,
    isa: str,
    qemu: str,
    order: Literal["little", "big"],
    bits: Literal[32, 64],
    char: Literal["signed", "unsigned"],
    *options: str,
) -> Machine:
    """A processor under qemu-user."""
    command = f"qemu-{qemu}"
    needs = Needs(commands=(command,), debian=("qemu-user",))
    return Machine(name, isa, order, bits, char, (command, *options), needs=needs)


AARCH64 = _emulated("aarch64", "Armv8-A A64", "aarch64", "little", 64, "unsigned")
ARMHF = _emulated("armhf", "Armv7-A with VFP", "arm", "little", 32, "unsigned")
ARMEL = _emulated("armel", "Armv5 without FPU", "arm", "little", 32, "unsigned")
I686 = _emulated("i686", "x86 with x87", "i386", "little", 32, "signed")
RISCV32 = _emulated("riscv32", "RV32GC", "riscv32", "little", 32, "unsigned")
RISCV64 = _emulated("riscv64", "RV64GC", "riscv64", "little", 64, "unsigned")
S390X = _emulated("s390x", "z/Architecture", "s390x", "big", 64, "unsigned")
POWERPC = _emulated("powerpc", "PowerPC 32", "ppc", "big", 32, "unsigned")
POWERPC64 = _emulated("powerpc64", "Power 64", "ppc64", "big", 64, "unsigned")
POWERPC64LE = _emulated("powerpc64le", "Power 64", "ppc64le", "little", 64, "unsigned")
MIPS = _emulated("mips", "MIPS32", "mips", "big", 32, "signed")
MIPSEL = _emulated("mipsel", "MIPS32", "mipsel", "little", 32, "signed")
MIPS64 = _emulated("mips64", "MIPS64", "mips64", "big", 64, "signed")
MIPS64EL = _emulated("mips64el", "MIPS64", "mips64el", "little", 64, "signed")
M68K = _emulated("m68k", "Motorola 68000", "m68k", "big", 32, "signed")
HPPA = _emulated("hppa", "PA-RISC", "hppa", "big", 32, "signed")
SPARC64 = _emulated("sparc64", "SPARC V9", "sparc64", "big", 64, "signed")
SH4 = _emulated("sh4", "SuperH-4", "sh4", "little", 32, "signed", "-L", "/usr/sh4-linux-gnu")
# Statically linked programs crash under QEMU 7.2.
ALPHA = _emulated("alpha", "Alpha", "alpha", "little", 64, "signed", "-L", "/usr/alpha-linux-gnu")

WASM32 = Machine(
    "wasm32",
    "WebAssembly",
    "little",
    32,
    "signed",
    (*PYTHON, str(Path(__file__).with_name("wasi.py"))),
    needs=Needs(modules=("wasmtime",), pip=("wasmtime",)),
)

# The last word is the program; what it prints goes to standard output.
SEMIHOSTING = (
    *("-display", "none", "-monitor", "none", "-serial", "null", "-chardev", "stdio,id=s0"),
    *("-semihosting-config", "enable=on,target=native,chardev=s0"),
)


def _board(board: str, isa: str, system: str, package: str, *options: str) -> Machine:
    """A board in qemu-system, without an operating system."""
    command = f"qemu-system-{system}"
    return Machine(
        board,
        isa,
        "little",
        32,
        "unsigned",
        (command, *options, *SEMIHOSTING),
        board,
        Needs(commands=(command,), debian=(package,)),
    )


def _mps(board: str, isa: str) -> Machine:
    return _board(board, isa, "arm", "qemu-system-arm", "-M", board)


# ARM's development boards.
CORTEX_M4 = _mps("mps2-an386", "Armv7E-M (Cortex-M4F)")
CORTEX_M7 = _mps("mps2-an500", "Armv7E-M (Cortex-M7)")
CORTEX_M55 = _mps("mps3-an547", "Armv8.1-M (Cortex-M55)")


def _virt(isa: str) -> Machine:
    options = ("-M", "virt", "-bios", "none", "-m", "64M")
    return _board("virt-rv32", isa, "riscv32", "qemu-system-misc", *options)


VIRT_RV32 = _virt("RV32IMAC")
VIRT_RV32_FPU = _virt("RV32IMAFDC")

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


def default_targets() -> tuple[Target, ...]:
    """The targets of a run that names none, installed or not."""
    return tuple(target for target in TARGETS if target.default)


def _nearest(word: str, names: Sequence[str]) -> list[str]:
    """Names that begin with the word, else names that look like it."""
    begun = [name for name in names if word and name.startswith(word)]
    return begun[:3] or difflib.get_close_matches(word, names, n=3)


def select(globs: Sequence[str]) -> tuple[Target, ...]:
    """The targets whose names match any of the patterns, in the order of the table.

    Raises ToolchainError for a pattern that matches none.
    """
    chosen = names_matching(globs, [target.name for target in TARGETS])
    return tuple(target for target in TARGETS if target.name in chosen)


def names_matching(globs: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names that match any of the patterns, in their order. ToolchainError where a pattern matches none."""
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            near = ", ".join(_nearest(glob, names)) or "none"
            raise ToolchainError(
                f"unknown target {glob!r}; nearest: {near} (ares targets lists all)"
            )
    return [name for name in names if any(fnmatchcase(name, glob) for glob in globs)]

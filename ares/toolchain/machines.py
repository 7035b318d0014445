"""The processors that programs run on, and what runs them here: this one, QEMU's, boards, WebAssembly."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Literal

from ares.toolchain.target import Machine, Needs

# With -P, no file that happens to lie in the current folder is taken for a module of ours.
PYTHON = (sys.executable, "-P")

HOST = Machine(
    "host", platform.machine(), sys.byteorder, 64 if sys.maxsize > 2**32 else 32, needs=Needs()
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


# Of QEMU's own processors some can do everything: these have what their row is about, and no more.
AARCH64 = _emulated(
    *("aarch64", "Armv8-A A64", "aarch64", "little", 64, "unsigned"), "-cpu", "cortex-a53"
)
AARCH64_DOT = _emulated(
    *("aarch64", "Armv8-A A64 with dot products", "aarch64", "little", 64, "unsigned"),
    *("-cpu", "max"),
)
ARMHF = _emulated("armhf", "Armv7-A with VFP", "arm", "little", 32, "unsigned")
ARMEL = _emulated("armel", "Armv5 without FPU", "arm", "little", 32, "unsigned")
I686 = _emulated("i686", "x86 with x87", "i386", "little", 32, "signed", "-cpu", "coreduo")
I686_AVX2 = _emulated("i686", "x86 with AVX2", "i386", "little", 32, "signed", "-cpu", "max")
RISCV32 = _emulated("riscv32", "RV32GC", "riscv32", "little", 32, "unsigned")
RISCV64 = _emulated("riscv64", "RV64GC", "riscv64", "little", 64, "unsigned")


def _riscv_vectors(bits: int) -> Machine:
    cpu = f"rv64,v=true,vext_spec=v1.0,vlen={bits}"
    isa = f"RV64GCV with {bits} bits"
    return _emulated("riscv64", isa, "riscv64", "little", 64, "unsigned", "-cpu", cpu)


RISCV64_V128 = _riscv_vectors(128)
RISCV64_V256 = _riscv_vectors(256)
NEHALEM = _emulated(
    *("nehalem", "x86-64 with SSE4.2", "x86_64", "little", 64, "signed"), "-cpu", "Nehalem"
)
HASWELL = _emulated(
    *("haswell", "x86-64 with AVX2", "x86_64", "little", 64, "signed"), "-cpu", "Haswell"
)
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

"""Project -> Binary -> Trace: compile a generated project for a target, run it, read what it showed.

The only package that starts processes. A fault of the compiler or of the program is a `BuildFailure` or a
`RunFailure`; a call that makes no sense (unknown target, wrong shape, missing compiler) is a `ToolchainError`.
"""

from ares.toolchain.build import build, prepare, recipe_of
from ares.toolchain.cache import Cache, open_cache
from ares.toolchain.faults import BuildFailure, RunFailure, TooLarge, ToolchainError
from ares.toolchain.run import dump, run
from ares.toolchain.selection import default_targets, missing_tools, select
from ares.toolchain.target import Machine, Needs, Target
from ares.toolchain.targets import TARGETS

__all__ = [
    "TARGETS",
    "BuildFailure",
    "Cache",
    "Machine",
    "Needs",
    "RunFailure",
    "Target",
    "TooLarge",
    "ToolchainError",
    "build",
    "default_targets",
    "dump",
    "missing_tools",
    "open_cache",
    "prepare",
    "recipe_of",
    "run",
    "select",
]

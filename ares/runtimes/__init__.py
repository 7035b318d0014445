"""Other people's runtimes, as rows of a table: what each reads, how it is asked, and runs in processes of their own."""

from ares.runtimes.rows import RUNTIMES, Runtime, UnknownRuntime, chosen
from ares.runtimes.running import Failed, Ran, Request, run_models

__all__ = [
    "RUNTIMES",
    "Failed",
    "Ran",
    "Request",
    "Runtime",
    "UnknownRuntime",
    "chosen",
    "run_models",
]

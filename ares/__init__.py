"""ARES: exact integer C from trained Brevitas models. Importing this package imports nothing else."""

__version__ = "0.1.0"

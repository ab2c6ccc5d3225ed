"""The dpmpi command."""

from .main import main

__all__ = ["main"]

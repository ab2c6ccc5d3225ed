"""Transformers, as data: reductions that fit one, functions that apply it."""

from .coordinates import Coordinates, column_squares, column_sums

__all__ = ["Coordinates", "column_squares", "column_sums"]

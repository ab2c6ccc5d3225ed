"""Transformers, as data: what fits one in a pass over the rows, and a function that applies it to a block."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .coordinates import Coordinates, column_squares, column_sums

if TYPE_CHECKING:
    from .columns import Columns, RowError, Text
    from .encode import HashText, OneHot, Ordinal
    from .fold import Folded, fold_scaling
    from .groups import AGGREGATES, Groups
    from .numbers import Bin, Clip, Impute, Log, Scale
    from .pipeline import Pipeline, Step, text_columns
    from .quantiles import Quantiles
    from .summaries import Counts, Moments
    from .tfidf import TfIdf

__all__ = [
    "AGGREGATES",
    "Bin",
    "Clip",
    "Columns",
    "Coordinates",
    "Counts",
    "Folded",
    "Groups",
    "HashText",
    "Impute",
    "Log",
    "Moments",
    "OneHot",
    "Ordinal",
    "Pipeline",
    "Quantiles",
    "RowError",
    "Scale",
    "Step",
    "Text",
    "TfIdf",
    "column_squares",
    "column_sums",
    "fold_scaling",
    "text_columns",
]

# Imported when first used: every fit needs the coordinates, few need the rest, and `import dpmpi` stays cheap.
_MODULES = {
    "columns": ("Columns", "RowError", "Text"),
    "encode": ("HashText", "OneHot", "Ordinal"),
    "fold": ("Folded", "fold_scaling"),
    "groups": ("AGGREGATES", "Groups"),
    "numbers": ("Bin", "Clip", "Impute", "Log", "Scale"),
    "pipeline": ("Pipeline", "Step", "text_columns"),
    "quantiles": ("Quantiles",),
    "summaries": ("Counts", "Moments"),
    "tfidf": ("TfIdf",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Scaling folded into the coefficients of a linear predictor, so that no scaled rows are made.

``((x - shift) / factor) @ coef + b`` is the same number as ``x @ (coef / factor) + (b - shift @ (coef / factor))``. The
second form subtracts numbers of the size ``|shift / factor|`` from one another, and so loses as many digits as they
have: columns that lie far from zero, in units of their spread, are better scaled one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .columns import Columns
from .coordinates import Coordinates
from .numbers import Scale
from .pipeline import ENCODERS, Pipeline

# The largest |shift / factor| that is folded. It costs float64 data three of sixteen digits, float32 data one of seven.
LIMITS = {np.dtype(np.float64): 1e3, np.dtype(np.float32): 10.0}


class Folded(NamedTuple):
    """A pipeline without its last scaling, and that scaling of the columns that come out.

    pipeline : what is left to be applied to the rows.
    scaling : to be given to `dpmpi.fit`; None where nothing is folded.
    reason : why a scaling that stands at the end is not folded, else "".
    """

    pipeline: Pipeline
    scaling: Coordinates | None = None
    reason: str = ""


def fold_scaling(pipeline: Pipeline, first: Columns) -> Folded:
    """Take the scaling out of a fitted pipeline, where only steps that add columns stand behind it.

    `first` is a block without rows of what the pipeline is applied to.
    """
    place = next((k for k in reversed(range(len(pipeline.steps))) if not isinstance(pipeline.steps[k], ENCODERS)), None)
    scale = None if place is None else pipeline.steps[place]
    if not isinstance(scale, Scale):
        return Folded(pipeline)
    before = Pipeline(pipeline.steps[:place]).apply(first)
    rest = Pipeline(tuple(step for step in pipeline.steps if step is not scale), pipeline.numbers, pipeline.text)
    where = before.find(scale.columns)
    d = len(rest.apply(first).names)
    shift, factor = np.zeros(d), np.ones(d)
    shift[where], factor[where] = scale.shift, scale.factor
    far = np.abs(shift) / np.abs(factor)
    worst = int(np.argmax(far))
    if far[worst] > LIMITS[before.X.dtype]:
        return Folded(
            pipeline, None, f"column {before.names[worst]!r} lies {far[worst]:.1e} times its spread from zero"
        )
    return Folded(rest, Coordinates(shift, factor, True))

"""Fitted models on disk: an .npz archive of plain arrays, never pickled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from .data import DataError, Picked, atomic_write
from .models import MODELS
from .preprocess import Columns, Pipeline, fold_scaling
from .training.fit import FitResult, FitState
from .training.problem import Spread

FORMAT_VERSION = 1


@dataclass(frozen=True)
class SavedModel:
    """A fitted model with the names of the columns it was fitted on.

    Attributes:
        result: the fitted model.
        columns: names of the d columns, or None when the data had none.
        target: name of the target column, or None.
        pipeline: what made the d columns out of the raw ones, or None.
        dates: those of the raw columns that held dates.
        picked: the numbers of columns without names, or None.
    """

    result: FitResult
    columns: list[str] | None
    target: str | None
    pipeline: Pipeline | None = None
    dates: tuple[str, ...] = ()
    picked: Picked | None = None

    @property
    def n_numbers(self) -> int:
        """How many columns of numbers the raw rows have."""
        return len(self.result.coef) if self.pipeline is None else len(self.pipeline.numbers)

    def unscaled(self, first: Columns) -> SavedModel:
        """The same model, for predictions: a scaling at the end is folded into coef, where that costs no digits.

        `first` is a block without rows of what the pipeline is applied to.
        """
        if self.pipeline is None:
            return self
        folded = fold_scaling(self.pipeline, first)
        result = self.result if folded.scaling is None else self.result.of_unscaled(folded.scaling)
        return replace(self, result=result, pipeline=folded.pipeline)


def save(path: str | Path, model: SavedModel) -> None:
    """Write `model` to `path`; the file appears whole or not at all. DataError when it cannot be written."""
    with atomic_write(path) as file:
        write(file, model)


def write(file: IO[bytes], model: SavedModel) -> None:
    """Write `model` into an open file."""
    result = model.result
    arrays = {
        "format_version": np.array(FORMAT_VERSION),
        "model": np.array(result.model),
        "solver": np.array(result.solver),
        "coef": result.coef,
        "intercept": np.array(result.intercept),
        "loss": np.array(result.loss),
        "n_iter": np.array(result.n_iter),
        "converged": np.array(result.converged),
        "message": np.array(result.message),
        "history": np.array(result.history, np.float64),
        "l2": np.array(result.l2),
    }
    if result.classes is not None:
        arrays["classes"] = result.classes
    if result.state is not None:
        arrays |= {
            "state_intercept": np.array(result.state.intercept),
            "state_count": np.array(result.state.spread.count),
            "state_mean": result.state.spread.mean,
            "state_squares": result.state.spread.squares,
            "state_velocity": result.state.velocity,
            "state_calls": np.array(result.state.n_calls),
        }
    if model.columns is not None:
        arrays["columns"] = np.array(model.columns, np.str_)
    if model.picked is not None:
        arrays |= {"picked": np.array(model.picked.numbers, np.int64), "picked_of": np.array(model.picked.of)}
    if model.target is not None:
        arrays["target"] = np.array(model.target)
    if model.pipeline is not None:
        arrays["pipeline"] = np.array(model.pipeline.to_json())
    if model.dates:
        arrays["dates"] = np.array(model.dates, np.str_)
    np.savez(file, allow_pickle=False, **arrays)


def load(path: str | Path) -> SavedModel:
    """Read a model that `save` wrote. DataError when the file is missing, is no such model, or is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise DataError(f"{path}: cannot read the model: {error.strerror or error}") from error
    except Exception as error:  # a damaged archive raises whatever its reader stumbles over
        raise _not_a_model(path) from error
    try:
        version, name = int(arrays["format_version"]), str(arrays["model"])
        if version > FORMAT_VERSION:
            raise DataError(f"{path}: written by a newer dpmpi (format {version}); this one reads {FORMAT_VERSION}")
        if name not in MODELS:
            raise DataError(f"{path}: holds a {name!r} model; this dpmpi knows {', '.join(MODELS)}")
        result = FitResult(
            model=name,
            solver=str(arrays["solver"]),
            coef=arrays["coef"],
            intercept=float(arrays["intercept"]),
            loss=float(arrays["loss"]),
            n_iter=int(arrays["n_iter"]),
            converged=bool(arrays["converged"]),
            message=str(arrays["message"]),
            history=arrays["history"].tolist(),
            l2=float(arrays["l2"]),
            classes=arrays.get("classes"),
            state=_state(arrays) if "state_count" in arrays else None,
        )
    except KeyError as error:
        raise DataError(f"{path}: not a dpmpi model: it has no {error.args[0]!r}") from error
    except (TypeError, OverflowError) as error:  # arrays of these names, but not of a model
        raise _not_a_model(path) from error
    try:
        pipeline = Pipeline.from_json(str(arrays["pipeline"])) if "pipeline" in arrays else None
    except ValueError as error:
        raise DataError(f"{path}: its preprocessing cannot be read: {error}") from error
    columns, target = arrays.get("columns"), arrays.get("target")
    return SavedModel(
        result,
        None if columns is None else columns.tolist(),
        None if target is None else str(target),
        pipeline,
        tuple(arrays["dates"].tolist()) if "dates" in arrays else (),
        Picked(tuple(arrays["picked"].tolist()), int(arrays["picked_of"])) if "picked_of" in arrays else None,
    )


def _not_a_model(path: str | Path) -> DataError:
    return DataError(f"{path}: not a dpmpi model, or damaged; give the file that 'dpmpi fit --output' wrote")


def _state(arrays: dict[str, np.ndarray]) -> FitState:
    spread = Spread(float(arrays["state_count"]), arrays["state_mean"], arrays["state_squares"])
    return FitState(bool(arrays["state_intercept"]), spread, arrays["state_velocity"], int(arrays["state_calls"]))

"""The option that asks for augmentation, and what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import data

if TYPE_CHECKING:
    from ..data.augment import Augmentation

HELP = (
    "sgd: change the rows of each batch at random, as noise=0.1,mixup=0.2. noise=SCALE adds normal noise of that "
    "deviation, after preprocessing; mixup=ALPHA mixes rows and targets by shares from Beta(ALPHA, ALPHA). For rows "
    "that are images, channels running fastest: shift=HEIGHTxWIDTHxCHANNELS:MOST moves them by up to MOST pixels, "
    "flip=HEIGHTxWIDTHxCHANNELS mirrors half of them. In the order given"
)


def augmentations(text: str | None) -> tuple[Augmentation, ...]:
    """The augmentations that the option asks for. Raises DataError for one that is none."""
    return tuple(_augmentation(part) for part in text.split(",")) if text else ()


def _augmentation(text: str) -> Augmentation:
    from ..data.augment import Flip, MixUp, Noise, Shift

    name, _, value = text.partition("=")
    try:
        if name == "noise":
            return Noise(float(value))
        if name == "mixup":
            return MixUp(float(value))
        shape, _, most = value.partition(":")
        if name == "shift":
            return Shift(_shape(shape), int(most))
        if name == "flip" and not most:
            return Flip(_shape(shape))
    except ValueError:
        pass
    raise data.DataError(
        f"--augment takes noise=SCALE, mixup=ALPHA, shift=HxWxC:PIXELS and flip=HxWxC with commas between, not {text!r}"
    )


def _shape(text: str) -> tuple[int, int, int]:
    height, width, channels = (int(word) for word in text.split("x"))
    return height, width, channels

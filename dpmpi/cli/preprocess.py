"""The options that ask for preprocessing, and what they mean."""

from __future__ import annotations

import argparse

from .. import data
from ..preprocess import Bin, Clip, HashText, Impute, Log, OneHot, Ordinal, Scale, Step, TfIdf
from ..preprocess.numbers import SCALES

HASH_COLUMNS = 1 << 16
PREPROCESSING = ("ordinal", "clip", "log", "impute", "bin", "scale", "onehot", "hash", "tfidf")


def add_preprocess_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; the steps run in the order in which they are listed here."""
    group = parser.add_argument_group(
        "preprocessing",
        "Fitted on the rows of all ranks, saved in the model and applied by 'dpmpi predict'. In this order:",
    )
    group.add_argument("--ordinal", metavar="A,B,...", help="columns of text that become the number of the text")
    group.add_argument(
        "--clip", metavar="COLUMN:LOW:HIGH,...",
        help="columns whose numbers below LOW become LOW, and above HIGH become HIGH; either may be left empty",
    )  # fmt: skip
    group.add_argument("--log", metavar="A,B,...", help="columns that become log(1 + x)")
    group.add_argument(
        "--impute", metavar="HOW", help="missing numbers become the column's mean or median, or the number given here"
    )
    group.add_argument(
        "--bin", metavar="N[:HOW]",
        help="numbers become the number of one of N bins: uniform, of equal width (default), or quantile, of equally "
        "many rows",
    )  # fmt: skip
    group.add_argument("--scale", choices=SCALES, help="bring columns of numbers to like size")
    group.add_argument("--onehot", metavar="A,B,...", help="columns of text that become a 0-1 column for each text")
    group.add_argument(
        "--hash", metavar="A,B,...", help=f"columns of text whose words are counted in {HASH_COLUMNS} hashed columns"
    )
    group.add_argument(
        "--tfidf", metavar="A,B,...", help="as --hash, the words weighted by how few rows have them (tf-idf)"
    )
    group.add_argument(
        "--unseen", choices=("error", "ignore"), default="error",
        help="a text that no row had when fitting: an error (default), or as if nothing were known of it",
    )  # fmt: skip


def steps(options: argparse.Namespace) -> list[Step]:
    """The steps that the options ask for. Raises ValueError for a bad one."""
    found: list[Step] = []
    if options.ordinal:
        found.append(Ordinal(_names(options.ordinal), options.unseen))
    if options.clip:
        found += [_clip(cell) for cell in options.clip.split(",")]
    if options.log:
        found.append(Log(_names(options.log)))
    if options.impute:
        found.append(_impute(options.impute))
    if options.bin:
        found.append(_bin(options.bin))
    if options.scale:
        found.append(Scale(options.scale))
    if options.onehot:
        found.append(OneHot(_names(options.onehot), options.unseen))
    if options.hash:
        found.append(HashText(_names(options.hash), HASH_COLUMNS))
    if options.tfidf:
        found.append(TfIdf(_names(options.tfidf), HASH_COLUMNS))
    return found


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _clip(text: str) -> Clip:
    try:
        name, low, high = text.rsplit(":", 2)
        return Clip(float(low or "-inf"), float(high or "inf"), (name,))
    except ValueError:
        raise data.DataError(f"--clip takes COLUMN:LOW:HIGH with LOW <= HIGH, as in age:0:90, not {text!r}") from None


def _bin(text: str) -> Bin:
    number, _, how = text.partition(":")
    try:
        return Bin(int(number), how or "uniform")
    except ValueError:
        raise data.DataError(
            f"--bin takes the number of bins, 2 or more, and uniform or quantile, as in 10:quantile, not {text!r}"
        ) from None


def _impute(how: str) -> Impute:
    if how in ("mean", "median"):
        return Impute(how)
    try:
        return Impute("constant", float(how))
    except ValueError:
        raise data.DataError(f"--impute takes mean, median or a finite number, not {how!r}") from None

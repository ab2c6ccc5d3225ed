"""Pipelines over the ranks, on mixed data with missing values, give what scikit-learn's transformers give."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from dpmpi import data
from dpmpi.prepare import apply_pipeline, fit_pipeline
from dpmpi.preprocess import Bin, Clip, HashText, Impute, Log, OneHot, Ordinal, Pipeline, Scale, TfIdf

pytestmark = pytest.mark.mpi

N = 600
NUMBERS = ["age", "income", "flat"]
rng = np.random.default_rng(3)
TABLE = pd.DataFrame(
    {
        "age": np.where(rng.random(N) < 0.1, np.nan, rng.integers(18, 90, N)),
        "income": np.where(rng.random(N) < 0.2, np.nan, np.exp(rng.normal(10, 1, N)).round(2)),
        "flat": 3.0,
        "store": rng.choice(["north", "south", "Köln", "east"], N),
        "mood": np.where(rng.random(N) < 0.1, None, rng.choice(["glad", "so so", "Müde"], N)),
        "note": rng.choice(["good food", "bad food, bad service", "Good!", "x"], N),
        "y": rng.normal(size=N).round(3),
    }
)


@pytest.fixture(params=["csv", "parquet"])
def path(request, comm, tmp_path):
    found = comm.share(tmp_path)[0] / f"t.{request.param}"
    if comm.rank == 0:
        if request.param == "csv":
            TABLE.to_csv(found, index=False)
        else:
            pq.write_table(pa.Table.from_pandas(TABLE), found, row_group_size=100)
    comm.barrier()
    yield found
    comm.barrier()


def transformed(engine, path, steps, text=(), columns=None, max_memory="20kB"):
    dataset = data.open(
        path, engine.comm, target="y", columns=columns or [*NUMBERS, *text], text=text, missing=True,
        max_memory=max_memory,
    )  # fmt: skip
    pipeline = fit_pipeline(engine, dataset, steps)
    assert Pipeline.from_json(pipeline.to_json()) == pipeline
    dataset = apply_pipeline(dataset, pipeline)
    table = dataset.load()
    assert table.X.shape == (dataset.n_local, dataset.n_columns)
    X = table.X.toarray() if hasattr(table.X, "indptr") else table.X
    return np.concatenate(engine.comm.share(X))


SCALERS = {"standard": StandardScaler(), "minmax": MinMaxScaler(), "robust": RobustScaler()}


@pytest.mark.parametrize("kind", SCALERS)
@pytest.mark.parametrize("impute", ["mean", "median"])
def test_imputed_and_scaled(engine, path, kind, impute):
    got = transformed(engine, path, [Impute(impute), Scale(kind)])
    expected = make_pipeline(SimpleImputer(strategy=impute), SCALERS[kind]).fit_transform(TABLE[NUMBERS])
    assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", SCALERS)
def test_scaled_with_gaps_left_then_filled(engine, path, kind):
    got = transformed(engine, path, [Scale(kind), Impute("constant", -1.0)])
    expected = make_pipeline(SCALERS[kind], SimpleImputer(strategy="constant", fill_value=-1.0))
    assert_allclose(got, expected.fit_transform(TABLE[NUMBERS]), rtol=1e-12, atol=1e-12)


def test_one_hot_beside_numbers(engine, path):
    got = transformed(engine, path, [Impute(), Scale(), OneHot(("store", "note"))], text=("store", "note"))
    expected = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(sparse_output=False), ["store", "note"]),
    ).fit_transform(TABLE)
    assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_ordinal(engine, path):
    got = transformed(engine, path, [Ordinal(("store",)), Impute("constant")], text=("store",))
    assert_array_equal(got[:, 3], OrdinalEncoder().fit_transform(TABLE[["store"]])[:, 0])


def test_hashed_words(engine, path):
    got = transformed(engine, path, [Impute(), HashText(("note",), 64, ngrams=2)], text=("note",))
    expected = HashingVectorizer(n_features=64, ngram_range=(1, 2)).transform(TABLE["note"])
    assert_allclose(got[:, 3:], expected.toarray(), rtol=1e-12)


def test_missing_texts(engine, path):
    got = transformed(engine, path, [Impute(), OneHot(("mood",))], text=("mood",))
    texts = TABLE["mood"].fillna("")
    assert_array_equal(got[:, 3:], OneHotEncoder().fit_transform(texts.to_frame()).toarray())
    got = transformed(engine, path, [Ordinal(("mood",)), Impute("constant", -1.0)], text=("mood",))
    expected = OrdinalEncoder(encoded_missing_value=-1.0).fit_transform(TABLE[["mood"]].fillna(np.nan))
    assert_array_equal(got[:, 3], expected[:, 0])
    got = transformed(engine, path, [Impute(), TfIdf(("mood",), 64)], text=("mood",))
    expected = make_pipeline(HashingVectorizer(n_features=64), TfidfTransformer()).fit_transform(texts)
    assert_allclose(got[:, 3:], expected.toarray(), rtol=1e-12)


def test_log_and_clip_leave_gaps(engine, path):
    got = transformed(engine, path, [Log(("income",)), Clip(20, 50, ("age",)), Impute("constant", -1.0)])
    for j, expected in enumerate([TABLE["age"].clip(20, 50), np.log1p(TABLE["income"])]):
        assert_allclose(got[:, j], expected.fillna(-1.0), rtol=1e-12)


@pytest.mark.parametrize("n_features", [8, 4096])  # words of opposite sign meet in few columns, and cancel
def test_tfidf(engine, path, n_features):
    got = transformed(engine, path, [Impute(), TfIdf(("note", "store"), n_features, ngrams=2)], text=("note", "store"))
    for k, name in enumerate(("note", "store")):
        vectors = HashingVectorizer(n_features=n_features, ngram_range=(1, 2))
        expected = make_pipeline(vectors, TfidfTransformer()).fit_transform(TABLE[name])
        columns = slice(3 + k * n_features, 3 + (k + 1) * n_features)
        assert_allclose(got[:, columns], expected.toarray(), rtol=1e-12, atol=1e-15)


def test_log_and_clip(engine, path):
    got = transformed(engine, path, [Impute(), Log(("income",)), Clip(0, 50, ("age",))])
    filled = SimpleImputer().fit_transform(TABLE[NUMBERS])
    assert_allclose(got[:, 1], FunctionTransformer(np.log1p).fit_transform(filled[:, 1]), rtol=1e-12)
    assert_allclose(got[:, 0], np.clip(filled[:, 0], 0, 50), rtol=1e-12)


@pytest.mark.parametrize("kind", ["uniform", "quantile"])
def test_bins(engine, path, kind):
    # Many ages are 60 then, so that edges repeat; "flat" is constant.
    got = transformed(engine, path, [Impute("median"), Clip(30, 60, ("age",)), Bin(5, kind)])
    filled = SimpleImputer(strategy="median").fit_transform(TABLE[NUMBERS])
    filled[:, 0] = filled[:, 0].clip(30, 60)
    options = {"quantile_method": "linear"} if kind == "quantile" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the constant column, and of edges that are merged
        bins = KBinsDiscretizer(5, encode="ordinal", strategy=kind, subsample=None, **options).fit(filled)
    assert bins.n_bins_.tolist() == ([5, 5, 1] if kind == "uniform" else [4, 5, 1])
    assert_array_equal(got, bins.transform(filled))


def test_what_cannot_be(engine, path):
    with pytest.raises(ValueError, match="column 'none' is not among age, income, flat"):
        transformed(engine, path, [Impute(columns=("none",))])
    with pytest.raises(ValueError, match="column 'store' is text; encode it first"):
        transformed(engine, path, [Scale(columns=("store",))], text=("store",))
    with pytest.raises(data.DataError, match=r"row \d+.*: column '(age|income)' is missing or not finite; impute it"):
        transformed(engine, path, [Scale()])


def test_texts_that_were_not_there_when_fitting(engine, comm, tmp_path):
    folder = comm.share(tmp_path)[0]
    if comm.rank == 0:
        (folder / "old.csv").write_text("a,s\n" + "1,x\n2,y\n3,\n" * 20)
        (folder / "new.csv").write_text("a,s\n" + "1,x\n" * 40 + "2,z\n3,\n")
    comm.barrier()

    def both(unseen):
        old, new = (data.open(folder / f"{name}.csv", comm, text=["s"], missing=True) for name in ("old", "new"))
        pipeline = fit_pipeline(engine, old, [OneHot(("s",), unseen)])
        return apply_pipeline(new, pipeline)

    with pytest.raises(data.DataError, match=r"new.csv: row 41: column 's' is 'z', which no row had"):
        both("error").load()
    X = np.concatenate(comm.share(both("ignore").load().X))
    assert both("ignore").columns == ("a", "s=", "s=x", "s=y")
    assert_array_equal(X[-3:], [[1, 0, 1, 0], [2, 0, 0, 0], [3, 1, 0, 0]])
    comm.barrier()

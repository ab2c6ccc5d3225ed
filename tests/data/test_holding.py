"""Blocks that stay in memory between passes."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import dpmpi
from dpmpi import data
from dpmpi.data.arrays import ArrayReader

MATRIX = np.random.default_rng(0).normal(size=(5000, 5))


@pytest.fixture
def path(tmp_path):
    for number in range(2):
        np.save(tmp_path / f"{number}.npy", MATRIX[2500 * number : 2500 * (number + 1)])
    return tmp_path


@pytest.fixture
def read(monkeypatch):
    """The rows of the pieces that were asked for."""
    rows, original = [], ArrayReader.read
    monkeypatch.setattr(
        ArrayReader, "read", lambda self, pieces: rows.append(sum(p.n_rows for p in pieces)) or original(self, pieces)
    )
    return rows


def all_rows(dataset):
    return np.concatenate([block.X for block in dataset.blocks()])


@pytest.mark.parametrize("memory", [32 << 10, 100 << 10, 1 << 20])
def test_what_is_held_is_not_read_again(path, read, memory):
    dataset = data.open(path, target=-1, max_memory=memory).holding()
    assert_array_equal(all_rows(dataset), MATRIX[:, :4])
    held = dataset._holding.blocks
    assert 0 < sum(block.X.nbytes + block.y.nbytes for block in held) <= memory // 2
    for _ in range(2):
        read.clear()
        assert_array_equal(all_rows(dataset), MATRIX[:, :4])
        assert sum(read) == 5000 - sum(len(block.y) for block in held)


def test_a_pass_that_is_stopped_and_two_at_once(path):
    dataset = data.open(path, target=-1, max_memory="100KiB").holding()
    next(dataset.blocks())
    for one, other in zip(dataset.blocks(), dataset.blocks(), strict=True):
        assert_array_equal(one.X, other.X)
    found = []
    threads = [threading.Thread(target=lambda: found.append(all_rows(dataset))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rows in found:
        assert_array_equal(rows, MATRIX[:, :4])


def test_batches_of_a_window_take_what_is_held(path, read):
    dataset = data.open(path, target=-1, max_memory="100KiB")
    wanted = [block.X for block in dataset.batches(64, window=2048)]
    holding = dataset.holding()
    all_rows(holding)
    read.clear()
    for batch, X in zip(holding.batches(64, window=2048), wanted, strict=True):
        assert_array_equal(batch.X, X)
    assert sum(read) == 5000 - sum(len(block.y) for block in holding._holding.blocks)


def test_what_is_made_of_it_is_not_mixed_up(path):
    dataset = data.open(path, target=-1, max_memory="1MiB").holding()
    all_rows(dataset)
    doubled = dataset.map(lambda block: block._replace(X=2 * block.X))
    assert_array_equal(all_rows(doubled), 2 * MATRIX[:, :4])
    chosen = MATRIX[:, 0] > 0
    part = dataset.select(chosen)
    assert_array_equal(all_rows(part), MATRIX[chosen, :4])
    assert_array_equal(all_rows(part.holding()), MATRIX[chosen, :4])
    assert_array_equal(all_rows(dataset.keep()), MATRIX[:, :4])


def test_text_is_hashed_once_where_it_fits(tmp_path, monkeypatch):
    from dpmpi.prepare import apply_pipeline, fit_pipeline
    from dpmpi.preprocess import HashText

    rng = np.random.default_rng(0)
    path = tmp_path / "t.csv"
    words = ["red", "green", "blue", "grey"]
    lines = [f"{' '.join(rng.choice(words, 3))},{rng.integers(2)}" for _ in range(2000)]
    path.write_text("note,y\n" + "\n".join(lines) + "\n")
    hashed, original = [], HashText.apply
    monkeypatch.setattr(
        HashText, "apply", lambda self, columns: hashed.append(len(columns.X)) or original(self, columns)
    )
    with dpmpi.Engine() as engine:
        dataset = data.open(path, engine.comm, target="y", text=["note"], max_memory="1MiB")
        prepared = apply_pipeline(dataset, fit_pipeline(engine, dataset, [HashText(("note",), 1 << 12)]))
        assert not prepared.fits  # counted as if it were dense
        hashed.clear()
        result = dpmpi.fit(engine, "logistic", prepared, l2=1e-2)
    assert result.n_iter > 3
    assert sum(hashed) == 2 * 2000  # to learn what the rows are, and to hold them

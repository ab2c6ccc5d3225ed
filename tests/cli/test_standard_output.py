"""Standard output that is full, closed or no longer read: the work is done all the same, and no traceback is shown."""

import os
import subprocess
import sys

import launcher
import pytest

FIT = ["fit", "t.csv", "--target", "y", "--model", "linear", "--output", "m.npz", "--progress", "off"]


def run(folder, stdout, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "dpmpi", *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=folder,
        env=launcher.environment(), timeout=60, **options,
    )  # fmt: skip


@pytest.fixture
def unread():
    """The end for writing of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.fixture
def table(tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{k},{2 * k % 7}\n" for k in range(20)))
    return tmp_path


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_told_when_the_work_is_done(table):
    with open("/dev/full", "wb") as full:
        done = run(table, full, *FIT)
        assert done.stderr == "dpmpi: error: standard output cannot be written: No space left on device\n"
        assert done.returncode == 2
        assert (table / "m.npz").exists()
        done = run(table, full, "predict", "m.npz", "--stream", input="a\n1\n")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_what_nobody_reads_is_no_failure(table, unread):
    for arguments in (FIT, ["predict", "m.npz", "t.csv", "--output", "-"], ["fit", "--help"]):
        done = run(table, unread, *arguments)
        assert done.returncode == 0
        assert "Traceback" not in done.stderr
        assert "rror" not in done.stderr.replace("rmse", "")
    assert (table / "m.npz").exists()


def test_a_closed_output(table):
    done = run(table, None, *FIT, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "standard output cannot be written" in done.stderr
    assert (table / "m.npz").exists()

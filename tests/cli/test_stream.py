"""dpmpi predict --stream: rows answered as they arrive."""

import json
import os
import signal
import subprocess
import sys

import launcher
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dpmpi import data, model_file
from dpmpi.cli import main
from dpmpi.cli.arrivals import Line, arrivals
from dpmpi.cli.stream import Answers
from dpmpi.preprocess import Impute, OneHot, Pipeline
from dpmpi.training.fit import FitResult

LINEAR = FitResult("linear", "lbfgs", np.array([2.0, 10.0, 20.0]), 0.5, 0.0, 1, True, "", [], 0.0, None)
PIPELINE = Pipeline((Impute(values=(7.0,)), OneHot(("s",), categories=(("x", "y"),))), ("a",), ("s",))
MIXED = model_file.SavedModel(LINEAR, ["a"], "y", PIPELINE)
PLAIN = model_file.SavedModel(
    FitResult("logistic", "lbfgs", np.array([1.0, -1.0]), 0.0, 0.0, 1, True, "", [], 0.0, np.array([3.0, 4.0])),
    ["a", "b"],
    "y",
)
NAMELESS = model_file.SavedModel(PLAIN.result, None, None)


def answer(saved, text, size=2):
    """Return what is answered to `text`, taken `size` lines at a time, and the error at its end."""
    lines = [Line(k, line) for k, line in enumerate(text.encode().split(b"\n"), 1) if line]
    written = []
    answers = Answers(saved, None, written.append)
    try:
        for low in range(0, len(lines), size):
            answers.take(lines[low : low + size])
    except data.DataError as error:
        return b"".join(written).decode().splitlines(), str(error)
    return b"".join(written).decode().splitlines(), None


@pytest.mark.parametrize("size", [1, 2, 9])
def test_csv(size):
    assert answer(MIXED, "s,z,a\nx,9,1\ny,9,\n", size) == (["prediction", "12.5", "34.5"], None)
    assert answer(MIXED, "s\ta\r\nx\t1\r\n", size) == (["prediction", "12.5"], None)
    assert answer(NAMELESS, "p,q\n1,1\n2,1\n", size)[0][1:] == ["3,0.5", "4,0.7310585786300049"]


@pytest.mark.parametrize("size", [1, 9])
def test_json_lines(size):
    got, error = answer(MIXED, '{"a": 1, "s": "x", "z": []}\n\n{"s": "y", "a": null}\n{"s": "y", "a": true}', size)
    assert (got, error) == (['{"prediction": 12.5}', '{"prediction": 34.5}', '{"prediction": 22.5}'], None)
    got, error = answer(MIXED, '\ufeff{"a": 1, "s": "x"}', size)
    assert (got, error) == (['{"prediction": 12.5}'], None)
    got, error = answer(NAMELESS, "[1, 1]\n[2.0, 1]", size)
    assert (json.loads(got[1]), error) == ({"prediction": 4, "probability": 0.7310585786300049}, None)


@pytest.mark.parametrize("size", [1, 2, 9])
@pytest.mark.parametrize(
    ("saved", "text", "told"),
    [
        (MIXED, "s,a\nx,1\nx,1\n\nx,b\nx,1", "row 3 (line 5): column 'a' is 'b', not a number"),
        (MIXED, "s,a\nx,1\nx,1\nw,1\nx,1", "row 3 (line 4): column 's' is 'w', which no row had"),
        (MIXED, "s,a\nx,1\nx,1\nx\n", "row 3 (line 4): 1 cells where the header names 2"),
        (MIXED, "s,a\nx,1\nx,1\nx,inf\n", "row 3 (line 4): column 'a' is 'inf'"),
        (MIXED, "s,a\nx,1\nx,1\nx,1\rx,1\n", "row 3 (line 4): it holds a lone carriage return"),
        (PLAIN, "a,b\n1,1\n1,1\n,1\n", "row 3 (line 4): column 'a' is empty"),
        (MIXED, '{"s":"x","a":1}\n' * 2 + '{"s":"x"}', "row 3 (line 3): no column 'a'; write null"),
        (MIXED, '{"s":"x","a":1}\n' * 2 + '{"s":"x","a":"1"}', "row 3 (line 3): column 'a' is \"1\", not a number"),
        (MIXED, '{"s":"x","a":1}\n' * 2 + '{"s":5,"a":1}', "column 's' is 5, not a text"),
        (MIXED, '{"s":"x","a":1}\n' * 2 + '{"s":"x","a":1e999}', "column 'a' is Infinity, not a finite number"),
        (MIXED, '{"s":"x","a":1}\n' * 2 + f'{{"s":"x","a":1{"0" * 400}}}', "0…, not a finite number"),
        (MIXED, '{"s":"x","a":1}\n' * 2 + '{"s":"x"', "row 3 (line 3): it is no JSON"),
        (MIXED, '{"s":"x","a":1}\n' * 2 + "[1]", "it must be an object"),
        (MIXED, '{"s":"x","a":1}\n' * 2 + "[" * 100_000, "row 3 (line 3): it is no JSON"),
        (PLAIN, '{"a":1,"b":1}\n' * 2 + '{"a":1,"b":null}', "row 3 (line 3): column 'b' is missing"),
        (NAMELESS, "[1,1]\n" * 2 + "[1,1,1]", "row 3 (line 3): 3 numbers where 2 are needed"),
        (NAMELESS, "[1,1]\n" * 2 + "{}", "it must be an array of numbers"),
    ],
)  # fmt: skip
def test_a_bad_row(saved, text, told, size):
    answers, error = answer(saved, text, size)
    assert told in error
    assert error.startswith("standard input: row 3 ")
    assert len([line for line in answers if not line.startswith("prediction")]) == 2


@pytest.mark.parametrize(
    ("saved", "header", "told"),
    [
        (MIXED, "a,t", "no column 's'"),
        (MIXED, "a,a", "names 'a' more than once"),
        (PLAIN, "1.5,2", "holds only numbers"),
        (NAMELESS, "p,q,r", "3 columns for X, but 2 are needed"),
    ],
)
def test_a_bad_header(saved, header, told):
    answers, error = answer(saved, header)
    assert told in error
    assert answers == []


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(1, 5), st.booleans(), st.sampled_from([b"\n", b"\r\n"]))
def test_lines_are_those_sent(cuts, most, last_newline, newline):
    text = newline.join([b"a", b"", b"bcd", b"e" * 20, b"f"]) + newline * last_newline
    receiver, sender = os.pipe()
    never, other = os.pipe()
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True):
        os.write(sender, text[low:high])
    os.close(sender)
    batches = list(arrivals(receiver, never, 10.0, most))
    for descriptor in (receiver, never, other):
        os.close(descriptor)
    found = [(line.number, line.text.rstrip(b"\r")) for batch in batches for line in batch]
    assert found == [(1, b"a"), (3, b"bcd"), (4, b"e" * 20), (5, b"f")]
    assert max(map(len, batches)) <= most


@pytest.fixture
def stream(tmp_path):
    """Start ``dpmpi predict --stream`` with pipes."""
    model_file.save(tmp_path / "m.npz", MIXED)
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "dpmpi", "predict", str(tmp_path / "m.npz"), "--stream", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=launcher.environment(),
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def send(process, text):
    process.stdin.write(text)
    process.stdin.flush()


def test_rows_are_answered_while_the_stream_is_open_and_ctrl_c_ends_it(stream):
    process = stream("--max-delay", "0.01")
    send(process, b"s,a\n")
    assert process.stdout.readline() == b"prediction\n"
    for value in range(20):
        send(process, b"x,%d\n" % value)
        assert float(process.stdout.readline()) == 10.5 + 2 * value
    send(process, b"x,5\nx,6")
    assert process.stdout.readline() == b"20.5\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    assert (process.stdout.read(), process.stderr.read()) == (b"", b"")


def test_rows_before_a_bad_one_are_answered(stream):
    out, err = stream().communicate(b'{"s": "x", "a": 1}\n{"s": "q", "a": 1}\n', timeout=20)
    assert out == b'{"prediction": 12.5}\n'
    assert err.count(b"error") == 1
    assert b"standard input: row 2 (line 2): column 's' is 'q'" in err


def test_an_output_that_nobody_reads_any_more(stream):
    process = stream("--max-rows", "1")
    send(process, b"s,a\nx,1\n")
    assert process.stdout.readline() == b"prediction\n"
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(b"x,1\n" * 5000, timeout=20)
    assert (process.returncode, err) == (0, b"")


def test_the_numbers_are_those_of_the_file(mpiexec, tmp_path):
    model_file.save(tmp_path / "m.npz", PLAIN)
    rng = np.random.default_rng(0)
    rows = "\n".join(f"{a!r},{b!r}" for a, b in rng.normal(size=(3000, 2)).tolist())
    (tmp_path / "t.csv").write_text("a,b\n" + rows)
    done = mpiexec(2, "-m", "dpmpi", "predict", "m.npz", "t.csv", "--output", "p.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "t.csv") as file:
        answered = subprocess.run(
            [sys.executable, "-m", "dpmpi", "predict", "m.npz", "--stream", "--max-rows", "7"], cwd=tmp_path,
            stdin=file, capture_output=True, env=launcher.environment(),
        )  # fmt: skip
    assert_array_equal(
        np.loadtxt(answered.stdout.splitlines()[1:], delimiter=","),
        np.loadtxt(tmp_path / "p.csv", delimiter=",", skiprows=1),
    )


def test_a_model_that_was_fitted_with_dates(mpiexec, tmp_path):
    days = "".join(f"2024-05-{k:02d},{k}\n" for k in range(1, 31))
    (tmp_path / "t.csv").write_text("day,y\n" + days)
    done = mpiexec(
        1, "-m", "dpmpi", "fit", "t.csv", "--target", "y", "--model", "linear", "--dates", "day", "--scale", "standard",
        "--output", "m.npz", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    saved = model_file.load(tmp_path / "m.npz")
    assert saved.dates == ("day",)
    answers, error = answer(saved, "day\n1714953600\n2024-05-07\n", 9)
    assert float(answers[1]) == pytest.approx(6, rel=1e-4)
    assert error == (
        "standard input: row 2 (line 3): column 'day' is '2024-05-07', not a number; leave the column out or encode it "
        "as numbers"
    )
    answers, error = answer(saved, '{"day": 1714953600}\n{"day": "2024-05-07"}', 9)
    assert json.loads(answers[0])["prediction"] == pytest.approx(6, rel=1e-4)
    assert error.startswith("standard input: row 2 (line 2): column 'day' is \"2024-05-07\", not a number")


def test_the_model_remembers_which_columns_were_dates(mpiexec, tmp_path):
    (tmp_path / "t.csv").write_text("day,other,y\n" + "".join(f"2024-05-{k:02d},{k % 3},{k}\n" for k in range(1, 31)))
    fit = ("fit", "t.csv", "--target", "y", "--model", "linear", "--dates", "day", "--output", "m.npz")
    done = mpiexec(1, "-m", "dpmpi", *fit, "--scale", "standard", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for ranks, arguments in ((2, []), (1, ["--dates", "day"])):
        done = mpiexec(ranks, "-m", "dpmpi", "predict", "m.npz", "t.csv", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert np.loadtxt(tmp_path / "predictions.csv", skiprows=1) == pytest.approx(np.arange(1, 31), rel=1e-3)
    done = mpiexec(2, "-m", "dpmpi", "predict", "m.npz", "t.csv", "--dates", "other", cwd=tmp_path)
    assert done.returncode == 2
    assert "--dates names other, but the model was fitted with dates in day; leave --dates out" in done.stderr
    assert done.stderr.count("error") == 1


def test_more_than_one_rank(mpiexec):
    done = mpiexec(2, "-m", "dpmpi", "predict", "m.npz", "--stream")
    assert done.returncode == 2
    assert "--stream answers on one rank, not on 2" in done.stderr
    assert done.stderr.count("error") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--stream", "t.csv"], "a file DATA does not go with --stream"),
        (["--stream", "--report", "r.json"], "--report does not go with --stream"),
        (["--stream", "--scatter"], "--scatter does not go with --stream: rows come on standard input"),
        (["--stream", "--cache", "c"], "--cache does not go with --stream: rows come on standard input"),
        (["--stream", "--dates", "a,b"], "--dates does not go with --stream: send dates as numbers, seconds"),
        (["--stream", "--max-delay", "-1"], "--max-delay must be a number of seconds, 0 or more, not -1.0"),
        (["--stream", "--max-rows", "0"], "--max-rows must be 1 or more, not 0"),
        ([], "the following arguments are required: DATA"),
    ],
)
def test_mistakes(capsys, arguments, told):
    with pytest.raises(SystemExit) as exit:
        main(["predict", "m.npz", *arguments])
    assert exit.value.code == 2
    assert told in capsys.readouterr().err

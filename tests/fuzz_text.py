"""Throw mutated text at the compiled readers and compare with their plain twins; run it under the sanitisers.

    python tests/fuzz_text.py [SECONDS] [SEED]

The same seed gives the same texts. A difference is printed with the text and ends the run with status 1; a read or
write outside of the text or the arrays ends it by the sanitiser (docs/kernels.md).
"""

from __future__ import annotations

import random
import sys
import time

import numpy as np

from dpmpi.kernels import delimited, delimited_reference, libsvm, libsvm_reference, lines

CSV = [
    b'1,2.5,true,x\n-3e-5,,false,"a,b"\r\n\n+.5,NA,1,y\n',
    b'0.12345678901234567,nan,True,"q""q"\n9007199254740993, 7 ,0,\n"1",-1.#QNAN,FALSE,z',
    b"12345678.12345678,1e308,1,x\n5e-324,179769313486231580793728971405301e276,0,x\n",
    b",".join([b"1" * 40, b"0." + b"0" * 30 + b"7", b"0", b"text that is a good deal longer than a word"]) + b"\n",
]
SVM = [
    b"1 qid:3 1:2 5:-3e-5 # comment\n\n-1\t2:7.\r\n# only\n2 2147483647:1",
    b"0.1257302210933933 1:9007199254740993 2:18446744073709551615e-5 30:.5 400:5e-324\n",
]
PIECES = [
    b"\n",
    b"\r\n",
    b"\r",
    b",",
    b'"',
    b'""',
    b"\0",
    b" ",
    b"#",
    b":",
    b"e",
    b"-",
    b".",
    b"9" * 25,
    b"1e999",
    b"nan",
]
COLUMNS = {"kinds": ("number", "gaps", "boolean", "skipped"), "places": (1, 0, 2, -1), "n_features": 2}


def mutate(rng: random.Random, seeds: list[bytes]) -> bytes:
    """One of the seeds, some times over, or two of them joined, changed in a few places."""
    text = bytearray(rng.choice(seeds) * rng.choice([1, 2, 3, 30]) + rng.choice([b"", rng.choice(seeds)]))
    for _ in range(rng.randint(0, 6)):
        at = rng.randint(0, len(text))
        change = rng.randrange(4)
        if change == 0:
            text[at:at] = rng.choice(PIECES)
        elif change == 1:
            del text[at : at + rng.randint(1, 12)]
        elif change == 2 and at < len(text):
            text[at] = rng.randrange(256)
        else:
            low = rng.randint(0, len(text))
            text[at:at] = text[low : low + rng.randint(1, 20)]
    return bytes(text[: rng.randint(0, len(text))] if rng.random() < 0.3 else text)


def outcome(function, *arguments, **named):
    """The arrays that a reader gives, None, or what its error says."""
    try:
        return function(*arguments, **named)
    except libsvm_reference.LibsvmError as error:
        return error.args


def same(got, expected) -> bool:
    """Whether two outcomes are alike to the last bit."""
    if type(got) is not type(expected):
        return False
    if isinstance(got, np.ndarray):
        return got.dtype == expected.dtype and got.shape == expected.shape and got.tobytes() == expected.tobytes()
    if isinstance(got, tuple):
        return len(got) == len(expected) and all(map(same, got, expected))
    return got == expected


def main() -> int:
    """Run for so many seconds; 1 when a reader and its twin differ."""
    seconds, seed = float((sys.argv[1:] or [60])[0]), int((sys.argv[2:] or [0])[0])
    rng = random.Random(seed)
    end = time.monotonic() + seconds
    texts = 0
    while time.monotonic() < end:
        texts += 1
        csv, svm = mutate(rng, CSV), mutate(rng, SVM)
        for text, module, twin, arguments in (
            (csv, delimited.parse, delimited_reference.parse, {"delimiter": ",", **COLUMNS}),
            (csv, lines.count_lines, delimited_reference.count_lines, {}),
            (svm, libsvm.parse, libsvm_reference.parse, {}),
        ):
            got, expected = outcome(module, text, **arguments), outcome(twin, text, **arguments)
            if not same(got, expected):
                print(f"seed {seed}, text {texts}: {text!r}\n{got}\n{expected}")
                return 1
    print(f"seed {seed}: {texts} texts for each reader, all as the twins say")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the README and the documentation show, runs."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "README.md").read_text())
SNIPPETS = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [text.strip() for language, text in BLOCKS if language == "sh"]


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("snippet", SNIPPETS)
def test_python(mpiexec, tmp_path, snippet, ranks):
    script = tmp_path / "snippet.py"
    script.write_text(snippet)
    done = mpiexec(ranks, str(script), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_main_job(mpiexec, tmp_path):
    """The quick start without the installation, and the prediction behind it."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = [command.split("&&")[-1].strip() for command in COMMANDS]
    for command in (c for c in commands if "dpmpi" in c):
        launcher, _, ranks, _, *arguments = shlex.split(command)
        assert launcher == "mpiexec"
        done = mpiexec(int(ranks), "-m", "dpmpi", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "accuracy 0.9" in done.stdout
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 570


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_documentation(mpiexec, tmp_path, page):
    """All Python blocks of a page run, each as a script of its own."""
    for number, (_, snippet) in enumerate(re.findall(r"```(python)\n(.*?)```", page.read_text(), re.DOTALL)):
        script = tmp_path / f"snippet_{number}.py"
        script.write_text(snippet)
        done = mpiexec(2, str(script), cwd=tmp_path)
        assert done.returncode == 0, done.stderr

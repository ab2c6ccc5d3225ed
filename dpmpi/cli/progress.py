"""Progress of a long command on rank 0: one live line on a terminal, now and then a plain line in a batch log."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TextIO

LAUNCHERS = ("mpiexec", "mpirun", "hydra", "prterun", "orterun", "srun")
LIVE_SECONDS = 0.1
PLAIN_SECONDS = 10.0


class Progress:
    """Shows a line of text that changes.

    Args:
        style: "live", "plain", "off", or "auto": live when the output ends on a terminal.
        stream: where to; standard error by default.
    """

    def __init__(self, style: str = "auto", stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        if style == "auto":
            style = "live" if _on_terminal(self.stream) else "plain"
        self.style = style
        self._last_time = float("-inf")
        self._width = 0

    def update(self, text: str) -> None:
        """Show `text`, unless something was shown a moment ago."""
        now = time.monotonic()
        interval = LIVE_SECONDS if self.style == "live" else PLAIN_SECONDS
        if self.style == "off" or now - self._last_time < interval:
            return
        self._last_time = now
        if self.style == "live":
            self.stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def close(self) -> None:
        """Clear the live line."""
        if self._width:
            self.stream.write("\r" + " " * self._width + "\r")
            self.stream.flush()
            self._width = 0


def _on_terminal(stream: TextIO) -> bool:
    """Whether `stream` ends on a terminal: itself, or the launcher that passes it on through a pipe."""
    return stream.isatty() or _launcher_on_terminal()


def _launcher_on_terminal() -> bool:
    process = Path("/proc/self")
    try:
        for _ in range(6):  # rank, perhaps a wrapper script, proxy, launcher
            parent = next(line.split()[1] for line in (process / "status").read_text().splitlines() if "PPid:" in line)
            process = Path("/proc") / parent
            name = (process / "comm").read_text().strip()
            if name.startswith(LAUNCHERS) and "proxy" not in name:
                return str((process / "fd" / "2").readlink()).startswith(("/dev/pts/", "/dev/tty"))
    except (OSError, StopIteration):
        pass  # no /proc, another user's process, or launched by a daemon: a batch job
    return False

"""How much memory a rank may use for data: a number of bytes in words, and a fair default."""

from __future__ import annotations

import math
import platform
import re
from pathlib import Path

from .ranks import Ranks

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([kmgt]?i?)b?", re.IGNORECASE)
_UNKNOWN = 1 << 30
# The rest is for what else the program holds, and for the file cache.
_SHARE = 0.5


def parse_size(text: str | int) -> int:
    """The bytes that ``256MiB``, ``1.5 GB``, ``64M`` or a number mean. Raises ValueError when it is none or below 1."""
    found = _SIZE.fullmatch(str(text).strip())
    size = float(found[1]) * _UNITS.get(found[2].lower(), 0) if found is not None else 0.0
    if not 1 <= size < math.inf:
        raise ValueError(f"{text!r} is no amount of memory; write it as 256MiB or 2GB")
    return int(size)


def in_words(size: int) -> str:
    """An amount of memory as a person would say it."""
    return f"{size >> 20} MiB" if size >= 10 << 20 else f"{-(-size // 1000)} kB"


def default_limit(ranks: Ranks) -> int:
    """The bytes of data that this rank may hold: half of what its node has free, shared with the node's other ranks.

    What a container or a batch job may use (a cgroup's limit) counts, not what the machine has. Collective.
    """
    hosts = ranks.share(platform.node())
    return int(_SHARE * _available() / hosts.count(hosts[ranks.rank]))


def _available(root: Path = Path("/")) -> int:
    """Bytes that are free to use: the least of what the machine and each enclosing cgroup have."""
    free = []
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"))
    if found:
        free.append(int(found[1]) * 1024)
    for limit, used, cache in _cgroups(root):
        if _text(limit).strip().isdigit():
            inactive = re.search(rf"^{cache} (\d+)", _text(limit.parent / "memory.stat"), re.MULTILINE)
            # Cached file pages count as used, but make room when it is needed.
            reclaimable = int(inactive[1]) if inactive else 0
            free.append(max(0, int(_text(limit)) - int(_text(used).strip() or 0) + reclaimable))
    return min(free, default=_UNKNOWN)


def _cgroups(root: Path) -> list[tuple[Path, Path, str]]:
    """For this process's cgroup and those around it: the files with limit and use, and the name of its cached pages."""
    groups = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inner = base / path.strip("/")
        # Inside a container the path may be the host's, and only the root is there.
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(base):
                groups.append((folder / names[0], folder / names[1], names[2]))
    return groups


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

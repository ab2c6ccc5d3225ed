"""Run a command under MPICH's mpiexec on emulated hosts: a network namespace each, a bridge between them.

    python benchmarks/hosts.py --rate 1gbit --per-host 2 -- python benchmarks/between_hosts.py

Needs root (namespaces, a bridge, traffic shaping) and the programs `ip` and `tc`. Every host's link to the bridge is
held to `--rate` in each direction by a token bucket; no delay is added. TCP's congestion control is cubic, as on most
clusters, whatever this machine's own default is. Ranks of one host share memory; hosts reach one another by UCX over
TCP only. At the end the bytes that left each host are printed, and everything made here is removed, also after an error
or an interrupt.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BRIDGE = "dpmpi-br"
NETWORK = "10.77.0"
# A token bucket must hold what the kernel sends at once, or it cuts every 64 KiB packet into frames on the processor.
BURST = "128kb"
CONGESTION = "cubic"

# What mpiexec starts in place of ssh: `agent [options] address command...`, the command as a line for the shell.
AGENT = """#!/bin/bash
while [[ $1 == -* ]]; do shift; done
host=dpmpi-${1##*.}; shift
exec ip netns exec "$host" unshare --uts bash -c "hostname $host; $*"
"""


def main() -> int:
    """Make the hosts, run the command on them, remove them; return the command's status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--per-host", type=int, default=2, help="ranks on each host")
    parser.add_argument("--rate", default="1gbit", help="of each host's link, in tc's words, such as 100mbit")
    parser.add_argument("command", nargs="+", help="what every rank runs, after --")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root, to make network namespaces")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the hosts are removed
    with emulated(options.hosts, options.rate) as hosts, tempfile.TemporaryDirectory() as folder:
        agent = Path(folder, "agent")
        agent.write_text(AGENT)
        agent.chmod(0o755)
        before = [bytes_out(host) for host in hosts]
        status = subprocess.run(command(options, agent), env=environment()).returncode
        for host, start in zip(hosts, before, strict=True):
            print(f"# {host}: {bytes_out(host) - start} bytes out")
    return status


def command(options: argparse.Namespace, agent: Path) -> list[str]:
    """Return the command line of the job."""
    beside = Path(sys.executable).with_name("mpiexec")
    launcher = [str(beside) if beside.exists() else "mpiexec", "-launcher", "ssh", "-launcher-exec", str(agent)]
    addresses = ",".join(f"{NETWORK}.{i + 1}" for i in range(options.hosts))
    ranks = ["-hosts", addresses, "-ppn", str(options.per_host), "-n", str(options.hosts * options.per_host)]
    words = [sys.executable if word == "python" and i == 0 else word for i, word in enumerate(options.command)]
    return [*launcher, "-iface", BRIDGE, *ranks, *words]


def environment() -> dict[str, str]:
    """Return the job's environment: UCX takes the hosts' link and no short cut through the machine's memory."""
    return os.environ | {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "eth0", "OMP_NUM_THREADS": "1"}


@contextlib.contextmanager
def emulated(count: int, rate: str) -> Iterator[list[str]]:
    """Make `count` hosts and yield their names; they are gone afterwards."""
    hosts = [f"dpmpi-{i + 1}" for i in range(count)]
    try:
        system(f"ip link add {BRIDGE} type bridge")
        system(f"ip addr add {NETWORK}.254/24 dev {BRIDGE}")
        system(f"ip link set {BRIDGE} up")
        for i, host in enumerate(hosts):
            system(f"ip netns add {host}")
            system(f"ip link add {host} type veth peer name eth0 netns {host}")
            system(f"ip link set {host} master {BRIDGE} up")
            system(f"ip -n {host} addr add {NETWORK}.{i + 1}/24 dev eth0")
            system(f"ip -n {host} link set eth0 up")
            system(f"ip -n {host} link set lo up")
            system(f"ip -n {host} route change {NETWORK}.0/24 dev eth0 congctl {CONGESTION}")
            system(f"tc -n {host} qdisc add dev eth0 root tbf rate {rate} burst {BURST} latency 50ms")
        yield hosts
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "del", host], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", BRIDGE], stderr=subprocess.DEVNULL)
        wait_until_gone([*hosts, BRIDGE])


def wait_until_gone(links: list[str]) -> None:
    """The kernel removes a namespace's links in the background; making them again too soon would fail."""
    deadline = time.monotonic() + 10
    while any(Path("/sys/class/net", link).exists() for link in links) and time.monotonic() < deadline:
        time.sleep(0.1)


def bytes_out(host: str) -> int:
    """Return how many bytes have left a host."""
    text = system(f"ip netns exec {host} cat /sys/class/net/eth0/statistics/tx_bytes")
    return int(text)


def system(line: str) -> str:
    """Run a command of the system; RuntimeError with its message when it fails."""
    done = subprocess.run(line.split(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{line}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

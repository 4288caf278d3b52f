"""A throw-away Ceph on loopback with its S3 gateway: one monitor, one OSD in memory, one radosgw, as a child process.

Opt-in: the binaries come from packages of Debian and are no dependency of the project. Run its tests:

    apt-get install --no-install-recommends radosgw ceph-mon ceph-osd
    python -m pytest -m ceph

Run by hand, over an empty folder:

    python -m tests.support.ceph FOLDER

It ends when stdin closes or the time is up. Its daemons are started by `timeout`, so that none outlives that time even
when this process is killed. Settings as in Ceph's own `vstart.sh`, made with 16.2.15 (2026-11-25): no cephx, pools of
one copy, no manager.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import httpx

from tests.support.child import Child, end_with_stdin
from tests.support.s3_bucket import ACCESS_KEY_ID, SECRET_ACCESS_KEY

PACKAGE_OF = {
    "monmaptool": "ceph-base",
    "ceph": "ceph-common",
    "radosgw-admin": "ceph-common",
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "radosgw": "radosgw",
}
"""Debian's package of each binary."""

_START_SECONDS = 90.0
_STEP_SECONDS = 60
_CONFIGURATION = """[global]
fsid = {fsid}
mon host = {monitor}
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
admin socket =
log file = {folder}/$name.log
keyring = {folder}/keyring
mon data = {folder}/mon
mon data avail warn = 1
mon data avail crit = 1
mon allow pool size one = true
mon max pg per osd = 1000
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
rgw data = {folder}/rgw
"""


def missing_packages() -> list[str]:
    """Debian's packages that this machine lacks, sorted."""
    return sorted({package for binary, package in PACKAGE_OF.items() if shutil.which(binary) is None})


class Ceph(Child):
    """A running Ceph with its files in `folder`; ready when entered."""

    def __init__(self, folder: Path) -> None:
        super().__init__("tests.support.ceph", [str(folder)], patience=_START_SECONDS + 5)

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:PORT` of the gateway, which knows the key of `S3Bucket`."""
        return cast("str", self.hello["endpoint"])


def main() -> None:
    """Serve until stdin closes or the time is up; prints one JSON line with the endpoint once the gateway answers."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.ceph", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--max-seconds", type=float, default=900.0)
    options = parser.parse_args()
    if missing := missing_packages():
        sys.exit(f"these packages of Debian are missing: {', '.join(missing)}")
    over = threading.Event()
    end_with_stdin(over.set, options.max_seconds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))  # the daemons with it
    with ExitStack() as daemons:
        endpoint = _started(options.folder.resolve(), options.max_seconds, daemons)
        sys.stdout.write(json.dumps({"endpoint": endpoint}) + "\n")
        sys.stdout.flush()
        over.wait()


def _started(folder: Path, max_seconds: float, daemons: ExitStack) -> str:
    monitor, gateway = (f"127.0.0.1:{port}" for port in _free_ports())
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    for part in ("mon", "osd", "rgw"):
        (folder / part).mkdir(parents=True)
    (folder / "keyring").touch()
    configuration = folder / "ceph.conf"
    configuration.write_text(_CONFIGURATION.format(fsid=fsid, monitor=monitor, folder=folder))
    os.environ["CEPH_CONF"] = str(configuration)

    def daemon(*command: str) -> None:
        log = daemons.enter_context((folder / f"{command[0]}.out").open("wb"))
        process = subprocess.Popen(
            ["timeout", f"{max_seconds:.0f}", *command, "-f"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        daemons.callback(process.wait)
        daemons.callback(process.terminate)  # which `timeout` passes on

    _step("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:{monitor}]", str(folder / "monmap"))
    _step("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"))
    daemon("ceph-mon", "-i", "a")
    _step("ceph", "osd", "new", osd)
    _step("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
    # By a command: what the OSD would say of itself at its start may come before it knows the cluster, and ends it.
    _step("ceph", "osd", "crush", "add", "osd.0", "1", "root=default", "host=here")
    daemon("ceph-osd", "-i", "0")
    names = ("--uid", "test", "--display-name", "test")
    _step("radosgw-admin", "user", "create", *names, f"--access-key={ACCESS_KEY_ID}", f"--secret={SECRET_ACCESS_KEY}")
    daemon("radosgw", "-n", "client.rgw.a", "--rgw-frontends", f"beast endpoint={gateway}")
    _wait_until_ready(f"http://{gateway}/")
    return f"http://{gateway}"


def _step(*command: str) -> None:
    # The first steps wait for the daemons, each in its own way.
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_STEP_SECONDS)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")


def _free_ports() -> tuple[int, int]:
    # Neither daemon tells a port that it chose itself.
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _wait_until_ready(address: str) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while True:
        try:
            httpx.get(address, timeout=1, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > give_up_at:
                raise
        else:
            return
        time.sleep(0.1)  # between two looks at a server that is loading


if __name__ == "__main__":
    main()

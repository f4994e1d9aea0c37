"""A Ceph of one node, to be run as a process: a monitor, a store in memory, a gateway.

Nobody needs a key inside of it; the gateway's only user has the one that is given. When
all is there, with the buckets of `moto_process`, the file `ready` appears.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

BUCKETS = ("archive", "versions")
START_TIMEOUT_S = 240.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG

CONFIG = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
admin socket = {folder}/$name.asok
pid file =
keyring = {folder}/keyring
log file = {folder}/$name.log
log to stderr = false
mon cluster log file = {folder}/cluster.log
mon data = {folder}/mon
mon allow pool size one = true
mon max pg per osd = 1000
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
public addr = 127.0.0.1
ms bind ipv4 = true

[client.admin]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw thread pool size = 32
rgw dynamic resharding = false
"""


class Node:
    """The daemons, which end when this process does, however that ends."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fsid = folder, str(uuid.uuid4())
        self._conf = str(folder / "ceph.conf")
        self._daemons: list[subprocess.Popen[bytes]] = []
        libc = ctypes.CDLL(None)
        self._bound = lambda: libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)

    def run(self, *command: str) -> None:
        """A command that ends."""
        subprocess.run([*command, "-c", self._conf], check=True, timeout=120)

    def start(self, *command: str) -> None:
        """One that does not."""
        given = [*command, "-f", "-c", self._conf]
        self._daemons.append(subprocess.Popen(given, preexec_fn=self._bound))

    def check(self) -> None:
        """Raise if a daemon has ended."""
        for daemon in self._daemons:
            if daemon.poll() is not None:
                raise SystemExit(f"{daemon.args!r} ended with {daemon.returncode}")

    def stop(self) -> None:
        """End all of them: nothing is worth keeping."""
        for daemon in self._daemons:
            daemon.kill()
            daemon.wait()


def main(folder: Path, port: int, key: str, secret: str) -> None:
    """Serve on 127.0.0.1 until interrupted."""
    node = Node(folder)
    try:
        _make(node, port)
        user = ["--uid=tests", "--display-name=tests"]
        keys = [f"--access-key={key}", f"--secret-key={secret}"]
        node.run("radosgw-admin", "user", "create", *user, *keys, "-n", "client.admin")
        # It does not read these of the file.
        options = ("auth_supported=none", "auth_client_required=none")
        options += ("ms_mon_client_mode=crc",)
        node.start("radosgw", "-n", "client.admin", *(f"--{o}" for o in options))
        _make_buckets(node, f"http://127.0.0.1:{port}", key, secret)
        (folder / "ready").touch()
        while True:
            node.check()
            time.sleep(1)
    except KeyboardInterrupt:
        pass
    finally:
        node.stop()


def _make(node: Node, port: int) -> None:
    folder = node.folder
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    text = CONFIG.format(
        fsid=node.fsid, folder=folder, port=port, v2=port + 1, v1=port + 2
    )
    (folder / "ceph.conf").write_text(text, "utf-8")
    address = f"[v2:127.0.0.1:{port + 1},v1:127.0.0.1:{port + 2}]"
    made, place = ["--create", "--fsid", node.fsid], str(folder / "monmap")
    node.run("monmaptool", *made, "--addv", "a", address, place)
    node.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", place)
    node.start("ceph-mon", "-i", "a")
    disk = str(uuid.uuid4())
    node.run("ceph", "osd", "create", disk)
    node.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
    node.start("ceph-osd", "-i", "0")


def _make_buckets(node: Node, url: str, key: str, secret: str) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client: Any = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 0}),
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        node.check()
        try:
            for name in BUCKETS:
                client.create_bucket(Bucket=name)
            break
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    rule = {"Status": "Enabled"}
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration=rule)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])

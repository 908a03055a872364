"""Audio by URL: fetched under limits, and never from where only we can reach."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.contract.errors import InvalidRequest, ServiceError, TooLarge, Unavailable
from services.gateway.fetching import AudioFetcher
from services.gateway.outside import Outside, is_public


class Handler(BaseHTTPRequestHandler):
    """A server with a clip, a missing page, redirects and an endless file."""

    def do_GET(self) -> None:
        if self.path == "/clip":
            self.answer(200, b"sound from " + self.headers["Host"].encode())
        elif self.path == "/packed":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(gzip.compress(bytes(1024**2)))
        elif self.path == "/moved":
            self.answer(302, b"", "/clip")
        elif self.path == "/inside":
            self.answer(302, b"", "http://10.0.0.1/clip")
        elif self.path == "/round":
            self.answer(302, b"", "/round")
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(64):
                    self.wfile.write(bytes(1024**2))
            except OSError:
                pass
        else:
            self.answer(404, b"")

    def answer(self, status: int, content: bytes, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def server() -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{http.server_port}"
    finally:
        http.shutdown()
        http.server_close()


def fetch(url: str) -> bytes:
    fetcher = AudioFetcher(Outside(lambda address: address.startswith("127.") or address == "::1", ("http",)))
    return asyncio.run(fetcher.fetch(url))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server() as url:
        yield url


def test_a_clip_is_fetched_from_the_checked_address_under_its_own_name(url: str) -> None:
    assert fetch(f"{url}/clip").startswith(b"sound from localhost:")
    assert fetch(f"{url}/moved").startswith(b"sound from localhost:")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/missing", InvalidRequest),
        ("/inside", InvalidRequest),
        ("/round", InvalidRequest),
        ("/endless", TooLarge),
        ("/packed", InvalidRequest),
    ],
)
def test_what_is_not_fetched(url: str, path: str, error: type[ServiceError]) -> None:
    with pytest.raises(error):
        fetch(url + path)


def test_a_server_that_is_away() -> None:
    with pytest.raises(Unavailable):
        fetch("http://127.0.0.1:1/clip")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.wav",
        "file:///etc/passwd",
        "https://",
        "https://127.0.0.1/a.wav",
        "https://localhost/a.wav",
        "https://example.com:99999/a.wav",
        "https://[::1/a.wav",
        "https://" + "a" * 70 + ".com/a.wav",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/a.wav",
        "https://10.1.2.3/a.wav",
        "https://no-such-host.invalid/a.wav",
    ],
)
def test_private_addresses_and_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        asyncio.run(AudioFetcher(Outside()).fetch(url))
    assert refusal.value.param == "ref_audio"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:a00:1::1", False),
        ("fec0::1", False),
        ("64:ff9b:1::a00:1", False),
        ("::127.0.0.1", False),
        ("fe80::1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public

"""A signal lets the work in flight end, takes no more, and ends the process cleanly."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from tests.stack.films import boxes, decode

BODY = json.dumps({"text": "This film was asked for before the signal came. It is made to its end.", "size": "256x256"})
PATIENCE_S = 30.0
Address = tuple[str, int]
Running = tuple["subprocess.Popen[str]", Address]


@pytest.fixture
def running() -> Iterator[Running]:
    """`python -m services` on a free port, and its address."""
    command = [sys.executable, "-m", "services", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        started = next((line for line in process.stderr if "Talkie is at" in line), "")
        assert started, "the stack did not start"
        threading.Thread(target=process.stderr.read, daemon=True).start()
        host, _, port = started.split()[-1].removeprefix("http://").partition(":")
        yield process, (host, int(port))
    finally:
        process.kill()
        process.wait()


def ask(address: Address) -> socket.socket:
    """Send the head of a request, and return the connection once a handler waits for the body."""
    connection = socket.create_connection(address, PATIENCE_S)
    fields = ["Host: talkie", "Content-Type: application/json", f"Content-Length: {len(BODY)}", "Expect: 100-continue"]
    connection.sendall("\r\n".join(["POST /video/generate HTTP/1.1", *fields, "", ""]).encode())
    assert b"100 Continue" in connection.recv(1024)
    return connection


def wait_until_nobody_listens(address: Address) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(address, PATIENCE_S).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)
    raise AssertionError("the stack went on listening after the signal")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_the_film_in_flight_arrives_whole(running: Running, number: signal.Signals) -> None:
    process, address = running
    with ask(address) as connection:
        process.send_signal(number)
        wait_until_nobody_listens(address)
        connection.sendall(BODY.encode())
        answer = HTTPResponse(connection)
        answer.begin()
        data = answer.read()
    assert answer.status == 200
    assert "moof" not in {box.kind for box in boxes(data)}
    assert len(decode(data).frames) > 50
    assert process.wait(PATIENCE_S) == 0


def test_a_second_signal_ends_it_whatever_is_in_flight(running: Running) -> None:
    process, address = running
    with ask(address):
        process.terminate()
        wait_until_nobody_listens(address)
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE_S) == -signal.SIGTERM

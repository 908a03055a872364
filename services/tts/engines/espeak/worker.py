"""The worker process: `python -m services.tts.engines.espeak.worker FD` speaks what it is told over socket FD.

It ends when the other side closes the socket, so it never outlives its engine.
"""

from __future__ import annotations

import json
import sys
from multiprocessing.connection import Connection

from services.tts.engines.espeak.library import Espeak
from services.tts.engines.espeak.wire import CHUNK, DONE, FAILED, NEXT, READY, Event, Order, pack_chunk


def main(descriptor: int) -> None:
    """Speak until the engine goes away."""
    with Connection(descriptor) as engine:
        espeak = Espeak()
        engine.send_bytes(READY + json.dumps(_introduction(espeak)).encode())
        while True:
            try:
                order = Order(**json.loads(engine.recv_bytes()[1:]))
                _speak(espeak, order, engine)
            except (EOFError, OSError):  # nobody is left to tell
                return


def _introduction(espeak: Espeak) -> dict[str, object]:
    return {
        "version": espeak.version,
        "sample_rate_hz": espeak.sample_rate_hz,
        "languages": espeak.languages(),
        "variants": espeak.variants(),
    }


def _speak(espeak: Espeak, order: Order, engine: Connection) -> None:
    def hand_over(events: list[Event], pcm: bytes) -> bool:
        engine.send_bytes(CHUNK + pack_chunk(events, pcm))
        return engine.recv_bytes() == NEXT

    try:
        espeak.speak(order, hand_over)
    except ValueError as error:
        engine.send_bytes(FAILED + str(error).encode())
    else:
        engine.send_bytes(DONE)


if __name__ == "__main__":
    main(int(sys.argv[1]))

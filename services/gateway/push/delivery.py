"""Brings the speech of one session to the server, over as many connections as that takes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from functools import partial

from anyio import fail_after, move_on_after

from services.chassis.ending import end_tasks
from services.contract.push import DeliveryFailed
from services.gateway.audio import encoder_for
from services.gateway.narration import Piece
from services.gateway.push.cutting import cut
from services.gateway.push.link import Link, LinkLost
from services.gateway.push.messages import Session
from services.gateway.push.progress import Progress
from services.gateway.push.target import Target
from services.gateway.push.window import Window
from services.gateway.settings import GatewaySettings

_LONGEST_PAUSE_S = 10.0
_LAST_WORD_S = 1.0


class Delivery:
    """One session on its way."""

    def __init__(self, settings: GatewaySettings, target: Target, session: Session, progress: Progress) -> None:
        self._settings = settings
        self._target = target
        self._session = session
        self._progress = progress
        self._window = Window()
        self._link: Link | None = None
        self._engine = self._language = ""
        self._end_sent = False
        self._end_received = asyncio.Event()

    async def run(self, pieces: AsyncGenerator[Piece, None]) -> None:
        """Return once the server has all of it.

        Raises `DeliveryFailed` when it could not be brought there, and what the speech raises. Cancelling
        this ends both.
        """
        cutting = asyncio.create_task(self._cut(pieces))
        try:
            await self._deliver()
        finally:
            await end_tasks(cutting)
            await pieces.aclose()

    async def _deliver(self) -> None:
        failures = 0
        while True:
            delivered = self._window.delivered
            try:
                return await self._attempt()
            except LinkLost as lost:
                failures = 1 if self._window.delivered > delivered else failures + 1
                if failures > self._settings.push_max_retries:
                    raise self._failed(lost, failures) from lost
                pause_s = self._pause_s(failures)
                reconnects = self._progress.state.reconnects + 1
                self._progress.note(f"{lost}; again in {pause_s:.2f} s", reconnects=reconnects)
            await asyncio.sleep(pause_s)

    async def _attempt(self) -> None:
        """Send over one connection what is missing; raises `LinkLost` where not all of it gets across."""
        async with self._target.link(self._session, self._acknowledged) as link:
            try:
                await self._carried(link)
            except LinkLost:
                if link.silent_s >= self._settings.push_ack_timeout_s:
                    link.abort()  # whoever else is on it waits for nothing, too
                raise
            except BaseException:  # the speech failed, or this is called off
                await self._break_off(link)
                raise

    async def _carried(self, link: Link) -> None:
        self._link, self._end_sent = link, False
        self._window.reconnected()
        sending, watching = asyncio.create_task(self._send(link)), asyncio.create_task(self._watch())
        try:
            await asyncio.wait([sending, watching, link.lost], return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                return sending.result()
            if watching.done():
                return watching.result()
            # Many servers hang up when they have the end, before they have seen the ping after it.
            if not (self._end_sent and link.closed_well):
                raise LinkLost(link.reason)
        finally:
            self._link = None
            await end_tasks(sending, watching)

    async def _send(self, link: Link) -> None:
        """Send what is missing, and return once the server has all."""
        with self._patience():
            await link.send(self._session.init())
        index = -1
        while (chunk := await self._window.after(index)) is not None:
            index = chunk.index
            self._count(index)
            await link.send(self._session.chunk(chunk), partial(self._ponged, link, index), len(chunk.audio))
            if not link.shared:
                # A pong may come before the program behind the connection has read anything: do not run ahead of it.
                await self._window.without(index)
        await self._window.empty()
        total = self._window.cut
        end = self._session.complete(total, self._engine, self._language)
        with self._patience():
            await link.send(end, partial(self._ponged, link, total))
            self._end_sent = True
            self._progress.note(f"end sent, after {total} chunks")
            await self._end_received.wait()

    async def _watch(self) -> None:
        """Raise `LinkLost` when the server owes an acknowledgement for too long."""
        patience_s = self._settings.push_ack_timeout_s
        wait_s = patience_s
        while wait_s > 0:
            await asyncio.sleep(wait_s)
            since = self._window.waiting_since
            wait_s = patience_s if since is None else since + patience_s - time.monotonic()
        raise self._impatient()

    @contextmanager
    def _patience(self) -> Iterator[None]:
        try:
            with fail_after(self._settings.push_ack_timeout_s):
                yield
        except TimeoutError as error:
            raise self._impatient() from error

    def _impatient(self) -> LinkLost:
        return LinkLost(f"the server acknowledged nothing for {self._settings.push_ack_timeout_s:g} s")

    async def _break_off(self, link: Link) -> None:
        """Tell a server whose connection stays open that nothing more follows."""
        if link.shared:
            with suppress(LinkLost), move_on_after(_LAST_WORD_S):
                await link.send(self._session.failed(self._window.sent))

    def _count(self, index: int) -> None:
        """Count a chunk that is about to be sent."""
        first = self._window.send(index)
        resent = self._progress.state.chunks_resent + (not first)
        if first and index == 0:
            self._progress.note("sending begun")
        self._progress.change(chunks_sent=self._window.sent, chunks_resent=resent)

    def _ponged(self, link: Link, index: int) -> None:
        """Take note that the server's connection has everything up to `index`."""
        if link.shared:
            return  # it acknowledges itself, and knows better
        self._told(self._window.acknowledge_until(index))
        if index == self._window.total:
            self._end_received.set()

    def _acknowledged(self, index: int) -> None:
        """Take note that the server says it has `index`."""
        self._told(self._window.acknowledge(index))
        if self._end_sent and index == self._window.total:
            self._end_received.set()

    def _told(self, news: bool) -> None:
        if news:
            delivered, size = self._window.delivered, self._window.delivered_bytes
            self._progress.change(chunks_delivered=delivered, bytes_delivered=size)

    def _size(self) -> int:
        """Return how many bytes the next chunk has."""
        start_bytes = self._settings.push_chunk_bytes
        return min(self._link.size.bytes if self._link else start_bytes, self._session.most_chunk_bytes)

    async def _cut(self, pieces: AsyncGenerator[Piece, None]) -> None:
        """Fill the window while it is being spoken."""
        try:
            async with aclosing(cut(self._wav(pieces), self._size)) as chunks:
                async for audio in chunks:
                    await self._window.put(audio, self._engine, self._language)
        except BaseException as error:
            self._window.end(error)
            raise
        self._window.end()
        self._progress.note("speech done", total_chunks=self._window.total)

    async def _wav(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[bytes, None]:
        encoder, sentence = encoder_for("wav"), -1
        async with aclosing(pieces):
            async for piece in pieces:
                if piece.sentence != sentence:
                    sentence = piece.sentence
                    self._engine, self._language = piece.answer.engine, piece.answer.language
                    self._progress.note(f"sentence {sentence + 1} is being spoken, by {self._engine}")
                self._notice(piece)
                yield encoder.encode(piece.pcm)

    def _notice(self, piece: Piece) -> None:
        known = self._progress.state.notices
        notices = list(
            dict.fromkeys([*known, *piece.notices, *([piece.answer.notices] if piece.answer.notices else [])])
        )
        if notices != known:
            self._progress.note(notices[-1], notices=notices)

    def _pause_s(self, failures: int) -> float:
        """Return how long to wait: twice as long each time, and not as long as everybody else."""
        pause_s = min(self._settings.push_retry_s * 2.0 ** (failures - 1), _LONGEST_PAUSE_S)
        return pause_s * random.uniform(0.5, 1.0)

    def _failed(self, lost: LinkLost, failures: int) -> DeliveryFailed:
        window = self._window
        told = f"{window.delivered} of {window.cut if window.total is None else window.total} chunks were delivered"
        spoken = ", and more was being spoken" if window.total is None else ""
        return DeliveryFailed(f"The speech was not delivered: {lost}, {failures} times in a row. {told}{spoken}.")

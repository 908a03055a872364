"""`talkie say`: the inner services on loopback, one walk through them, one file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.chassis.logs import configure_logging
from services.chassis.problems import invalid_request_of
from services.cli.output import whole_or_not_at_all
from services.gateway.casting import Casting
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.copying import Copying
from services.gateway.finish import faststart, gather, pieces
from services.gateway.keeping import Keeping
from services.gateway.laying import SentenceSpoken
from services.gateway.pipeline import FilmMaker, Fragment, Pace
from services.gateway.requests import VideoAsk, VideoRequest
from services.gateway.script import Script
from services.gateway.settings import GatewaySettings
from services.stack import WarmUp, engine_services


@dataclass(frozen=True)
class SayOptions:
    """What the command was given; the request checks it."""

    text: str
    out: Path
    avatar: str
    voice: str
    language: str
    size: str
    fps: str
    speed: float
    pitch: float

    def request(self) -> VideoRequest:
        """Return the options as the API's own request, or raise `InvalidRequest`."""
        names = ("text", "avatar", "voice", "language", "size", "fps", "speed", "pitch")
        try:
            return VideoRequest.model_validate({name: getattr(self, name) for name in names})
        except ValidationError as error:
            raise invalid_request_of(error.errors()) from error


@dataclass
class _Film:
    """A film as it grows."""

    script: Script
    frames: int = 0

    @property
    def duration_s(self) -> float:
        return float(self.frames / self.script.fps)


async def make_film(options: SayOptions, console: Console) -> None:
    """Make the film and write it, showing the stages; end with what was made and how fast."""
    configure_logging("WARNING")
    request = options.request()
    started = time.perf_counter()
    with whole_or_not_at_all(options.out) as out, _progress(console) as progress:
        bar = progress.add_task("starting", total=None)
        width, height = request.frame_size
        async with engine_services(WarmUp(request.avatar_name, width, height)) as urls:
            settings = GatewaySettings()
            tts, avatar = TtsClient(urls.tts_url), AvatarClient(urls.avatar_url)
            keeping = Keeping(settings, CollectorRegistry())
            try:
                cast = await Casting(settings, tts, avatar, Copying(tts, None)).cast(VideoAsk(request))
                film = _Film(cast.script)
                films = FilmMaker(tts, avatar, Pace(), keeping.cache)
                async with aclosing(_shoot(films, film, progress, bar)) as shots:
                    fragments = await gather(shots)
            finally:
                await asyncio.gather(tts.aclose(), avatar.aclose(), keeping.close())
        progress.update(bar, description="finishing")
        out.writelines(pieces(faststart(fragments)))
    console.print(_summary(options.out, film, time.perf_counter() - started))


async def _shoot(films: FilmMaker, film: _Film, progress: Progress, bar: TaskID) -> AsyncGenerator[bytes, None]:
    async for event in films.film(film.script):
        if isinstance(event, Fragment):
            yield event.data
        elif isinstance(event, SentenceSpoken):
            film.frames = event.first_frame + event.frames
            stage = f"rendering sentence {event.index + 1} of {event.total}"
            progress.update(bar, description=stage, total=event.total, completed=event.index)


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True)


def _summary(out: Path, film: _Film, taken_s: float) -> Table:
    table = Table(show_header=False, box=None)
    table.add_row("file", str(out))
    table.add_row("duration", f"{film.duration_s:.2f} s")
    table.add_row("resolution", f"{film.script.width}x{film.script.height} at {float(film.script.fps):.5g} fps")
    table.add_row("time taken", f"{taken_s:.2f} s")
    table.add_row("real-time factor", f"{taken_s / film.duration_s:.2f} (below 1 is faster than real time)")
    return table

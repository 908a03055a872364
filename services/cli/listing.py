"""Voices and avatars, listed and kept, through the services themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.table import Table

from services.chassis.logs import configure_logging
from services.gateway.clients import AvatarClient, TtsClient
from services.stack import engine_services


async def show_voices(console: Console) -> None:
    """Print a table of the voices."""
    async with _clients() as (tts, _):
        engine = await tts.engine()
    table = Table("voice", "gender", "speaks", "description", title=f"Voices of {engine.engine}")
    for voice in engine.voices:
        table.add_row(voice.name, voice.gender, voice.language, voice.description)
    console.print(table)


async def show_avatars(console: Console) -> None:
    """Print a table of the avatars."""
    async with _clients() as (_, avatar):
        avatars = await avatar.avatars()
    table = Table("avatar", "title", "picture", "clip", "licence", title="Avatars")
    for info in avatars:
        clip = f"{info.motion_s:.1f} s" if info.motion_s else ""
        table.add_row(info.name, info.title, f"{info.width}x{info.height}", clip, info.license)
    console.print(table)


async def add_avatar(picture: bytes, name: str, console: Console) -> None:
    """Keep `picture`, which may be a clip, as avatar `name`, and print what will look less good than it could."""
    async with _clients() as (_, avatar):
        with console.status("looking for the face"):
            info = await avatar.add_avatar(picture, name=name, keep=True)
    console.print(f"Added [bold]{info.name}[/bold] ({info.width}x{info.height}).")
    for warning in info.warnings:
        console.print(f"[yellow]Note:[/yellow] {warning}")


async def remove_avatar(name: str, console: Console) -> None:
    """Remove the added avatar `name`."""
    async with _clients() as (_, avatar):
        await avatar.remove_avatar(name)
    console.print(f"Removed [bold]{name}[/bold].")


@asynccontextmanager
async def _clients() -> AsyncIterator[tuple[TtsClient, AvatarClient]]:
    configure_logging("WARNING")
    async with engine_services() as urls:
        tts, avatar = TtsClient(urls.tts_url), AvatarClient(urls.avatar_url)
        try:
            yield tts, avatar
        finally:
            await tts.aclose()
            await avatar.aclose()

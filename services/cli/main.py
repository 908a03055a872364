"""The commands and their options; what they do lives in the modules beside this one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli import models
from services.cli.failures import told_in_a_sentence
from services.cli.running import run_to_its_end
from services.contract.errors import InvalidRequest

app = typer.Typer(help="Text in, a talking person out.", no_args_is_help=True, pretty_exceptions_enable=False)
avatar_app = typer.Typer(help="Add, list and remove avatars.", no_args_is_help=True)
app.add_typer(avatar_app, name="avatar")
app.add_typer(models.app, name="models")

_Out = Annotated[Path, typer.Option("--out", "-o", help="The MP4 to write.")]
_Voice = Annotated[str, typer.Option(help="A voice; see `talkie voices`. Empty takes the one that suits the avatar.")]
_Language = Annotated[str, typer.Option(help="A name or tag such as German or pt-BR; Auto detects it.")]


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")],
    out: _Out = Path("talkie.mp4"),
    avatar: Annotated[str, typer.Option(help="An avatar; see `talkie avatar list`.")] = "",
    voice: _Voice = "",
    language: _Language = "Auto",
    size: Annotated[str, typer.Option(help="Frame size, such as 512x512, 1280x720 or 1080x1920.")] = "512x512",
    fps: Annotated[str, typer.Option(help="Frames per second, 24 to 60; 30000/1001 is exact.")] = "25",
    speed: Annotated[float, typer.Option(help="1 is the voice's own pace.")] = 1.0,
    pitch: Annotated[float, typer.Option(help="1 is the voice's own pitch.")] = 1.0,
) -> None:
    """Make a talking-head video of a text."""
    from services.cli.say import SayOptions, make_film

    words = _standard_input() if text == "-" else text
    options = SayOptions(words, out, avatar, voice, language, size, fps, speed, pitch)
    run_to_its_end(make_film(options, Console(stderr=True)))


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 8000 if nothing else is set.")
    ] = None,
) -> None:
    """Serve the API and the studio page until Ctrl-C."""
    from services.chassis.logs import configure_logging
    from services.gateway.settings import GatewaySettings
    from services.stack import run_until_signal

    settings = GatewaySettings()
    given = {"host": host or settings.host, "port": settings.port if port is None else port}
    configure_logging(settings.log_level)
    run_to_its_end(run_until_signal(settings.model_copy(update=given)))


@app.command()
def doctor() -> None:
    """Say what works here, and what a missing thing needs."""
    from services.cli.doctor import examine

    if not examine(Console()):
        raise typer.Exit(1)


@app.command()
def voices() -> None:
    """List the voices."""
    from services.cli.listing import show_voices

    run_to_its_end(show_voices(Console()))


@avatar_app.command("add")
def avatar_add(
    picture: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A front-facing picture, or a clip of somebody.")
    ],
    name: Annotated[str, typer.Option(help="Letters, digits, - and _.")],
) -> None:
    """Keep a picture or a clip as an avatar."""
    from services.cli.listing import add_avatar

    run_to_its_end(add_avatar(picture.read_bytes(), name, Console()))


@avatar_app.command("list")
def avatar_list() -> None:
    """List the avatars."""
    from services.cli.listing import show_avatars

    run_to_its_end(show_avatars(Console()))


@avatar_app.command("remove")
def avatar_remove(name: Annotated[str, typer.Argument(help="An avatar you added.")]) -> None:
    """Remove an avatar that was added."""
    from services.cli.listing import remove_avatar

    run_to_its_end(remove_avatar(name, Console()))


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest("What came from standard input is not UTF-8 text.") from error


def run(*arguments: str) -> None:
    """Run the command that `arguments` name, by default those of the process."""
    with told_in_a_sentence():
        app(args=arguments or None, prog_name="talkie")

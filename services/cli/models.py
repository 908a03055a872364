"""talkie models: list, fetch and verify model files."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from services.contract.errors import NotFound
from services.models.catalogue import MODELS, Model
from services.models.store import ModelStore
from services.tts.settings import TtsSettings

app = typer.Typer(help="Fetch the weights that engines need.", no_args_is_help=True)

_Names = Annotated[list[str], typer.Argument(help="Names of `talkie models list`.")]


class HubSettings(BaseSettings):
    """Where the hub is, by its own variables."""

    model_config = SettingsConfigDict(env_prefix="HF_", env_file=".env", extra="ignore")

    endpoint: str = Field("https://huggingface.co", description="The hub, or a mirror of it.")
    token: str = Field("", description="For models whose terms must be accepted.")


@app.command("list")
def list_models() -> None:
    """Tell what can be fetched, what it costs, and what is here."""
    store = _store()
    table = Table(title="Models; sizes are about")
    table.add_column("model", no_wrap=True)
    for heading in ("here", "disk", "GPU memory", "licence", "what for"):
        table.add_column(heading)
    for model in MODELS.values():
        memory = f"{model.vram_gb:g} GB" if model.vram_gb else "-"
        here = "yes" if store.is_here(model) else ""
        table.add_row(model.name, here, f"{model.disk_gb:g} GB", memory, model.licence, model.purpose)
    Console().print(table)


@app.command()
def fetch(names: _Names) -> None:
    """Fetch models, or what is missing of them."""
    models = [_model(name) for name in names]
    store, console = _store(), Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    for model in models:
        with Progress(*columns, console=console) as progress:

            def begin(path: str, progress: Progress = progress) -> _Bar:
                return _Bar(progress, path)

            fetched = store.fetch(model, begin)
        console.print(f"{model.name}: {len(fetched.files)} files at {fetched.revision[:12]} ({model.licence})")


@app.command()
def verify(names: Annotated[list[str] | None, typer.Argument(help="By default, all that are here.")] = None) -> None:
    """Check that models are as they were received."""
    store, console = _store(), Console()
    models = [_model(name) for name in names] if names else [model for model in MODELS.values() if store.is_here(model)]
    wrong = 0
    for model in models:
        for finding in store.verify(model):
            console.print(f"{'[red]' + finding.problem + '[/red]' if finding.problem else 'ok'}  {finding.path}")
            wrong += bool(finding.problem)
    if wrong:
        raise typer.Exit(1)


class _Bar:
    """The progress of one file."""

    def __init__(self, progress: Progress, path: str) -> None:
        self._progress = progress
        self._task = progress.add_task(path, total=None)

    def __call__(self, here: int, total: int | None) -> None:
        self._progress.update(self._task, completed=here, total=total)


def _store() -> ModelStore:
    hub = HubSettings()
    return ModelStore(TtsSettings().models_dir, hub.endpoint, hub.token)


def _model(name: str) -> Model:
    if name not in MODELS:
        raise NotFound(f"There is no model {name!r}; `talkie models list` tells which there are.")
    return MODELS[name]

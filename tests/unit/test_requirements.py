"""An engine names all it needs. The tests have the libraries of all engines, so here those of the others are hidden."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SERVICES = dict.fromkeys(("espeak", "qwen3", "kokoro", "piper", "vllm_omni"), "tts") | {"musetalk": "avatar"}

HIDING = """
import sys

class Hiding:
    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self._finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self._finder, name)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""
IMPORTS = {
    "espeak": "import services.tts.app, services.tts.engines.espeak.engine, services.tts.engines.espeak.worker",
    "qwen3": "from services.tts.engines.qwen3.libraries import prepare_imports\n"
    "prepare_imports()\nimport services.tts.engines.qwen3.engine",
    "kokoro": "import kokoro_onnx, phonemizer, services.tts.engines.kokoro.engine",
    "piper": "import piper, onnx, services.tts.engines.piper.engine",
    "vllm_omni": "import services.tts.engines.vllm_omni",
    "musetalk": "import services.avatar.engines.musetalk.parity",
}


def named(path: Path) -> Iterator[Requirement]:
    """Yield the requirements a file names, where there is one."""
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        if (wanted := line.partition("#")[0].strip()) != "":
            yield Requirement(wanted)


def all_needed(requirements: Iterable[Requirement]) -> set[str]:
    """Return the names of what pip would install for `requirements`."""
    waiting, needed = list(requirements), set[str]()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in needed or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        needed.add(name)
        try:
            waiting += [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            continue  # needed on other platforms
    return needed


@pytest.mark.parametrize("engine", IMPORTS)
def test_an_engine_names_all_it_needs(engine: str) -> None:
    services = ROOT / "services"
    service = services / SERVICES[engine]
    base = [*named(services / "chassis" / "requirements.txt"), *named(service / "requirements.txt")]
    own = service / "engines" / engine
    installed = all_needed([*base, *named(own / "requirements.txt")])
    installed |= {canonicalize_name(one.name) for one in named(own / "no-deps.txt")}
    hidden = {
        module
        for module, packages in packages_distributions().items()
        if module != "services" and not installed & {canonicalize_name(name) for name in packages}
    }
    assert "pytest" in hidden
    script = HIDING.replace("HIDDEN", repr(hidden)) + IMPORTS[engine]
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]

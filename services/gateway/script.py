"""What a film shows: scenes, each a text that somebody says."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from services.contract.speech import AUTO, Manner


@dataclass(frozen=True)
class Scene:
    """A text, said by one avatar without a cut."""

    text: str
    avatar: str
    manner: Manner = field(default_factory=Manner)
    background: str = ""
    """Colour behind an avatar that is cut out, #rrggbb; empty for its own background."""
    pause_s: float = 0.0
    """Silence after it, beside what a paragraph ends with."""


@dataclass(frozen=True)
class Script:
    """Scenes, and the film they make."""

    scenes: tuple[Scene, ...]
    language: str = AUTO
    fps: Fraction = Fraction(25)
    width: int = 512
    height: int = 512
    frame_skip: int = 1
    use_cache: bool = True

    @property
    def text(self) -> str:
        """All that is said."""
        return "\n\n".join(scene.text for scene in self.scenes)

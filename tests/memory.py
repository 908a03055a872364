"""How much memory Python holds."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from itertools import chain, filterfalse

_MOST_BLOCKS = 2_000
_MOST_BYTES = 128 * 1024


@dataclass(frozen=True)
class Held:
    """What is held at some moment: many small things, or a few that are large."""

    blocks: int
    size_bytes: int

    def is_no_less_than(self, later: Held) -> bool:
        """Whether no more is held later on, but for what comes and goes."""
        return later.blocks < self.blocks + _MOST_BLOCKS and later.size_bytes < self.size_bytes + _MOST_BYTES


def held() -> Held:
    """Return what is held now. The size is that of all objects; tracing what is allocated would take far longer."""
    gc.collect()
    blocks = sys.getallocatedblocks()
    tracked = layer = gc.get_objects()
    others: dict[int, object] = {}  # texts and the like, which only those know who hold them
    while layer:
        below = {id(one): one for one in filterfalse(gc.is_tracked, gc.get_referents(*layer)) if id(one) not in others}
        others |= below
        layer = list(below.values())
    return Held(blocks, sum(map(sys.getsizeof, chain(tracked, others.values()))))

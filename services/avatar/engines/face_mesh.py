"""Points of MediaPipe's face mesh that engines share, by number."""

from __future__ import annotations

FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The face's outline, from the forehead clockwise as the viewer sees it."""

NOSE_BRIDGE_END = 5
"""Where the bridge of the nose ends: point 29 of the 68 landmarks that MuseTalk's box is made of."""

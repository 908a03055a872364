"""What an avatar needs to know about a picture or clip of a person: where the face is."""

from __future__ import annotations

from dataclasses import dataclass

from services.avatar.clips import Clip, ClipLimits, clip_info, is_clip, read_frames
from services.avatar.engine import MOTION_FPS, FaceMotion, Image, Tell
from services.avatar.face.motion import follow_face
from services.avatar.face.types import Face, FaceFinder
from services.avatar.images import decode_picture


@dataclass(frozen=True)
class Study:
    """A picture and the face in it. Of a clip it is the frame with the mouth most closed."""

    picture: Image
    face: Face
    landmarks: FaceMotion | None = None
    """The face in every frame of a clip."""

    @property
    def motion_s(self) -> float:
        """Length of the clip."""
        return 0.0 if self.landmarks is None else len(self.landmarks) / MOTION_FPS


class Scholar:
    """Studies pictures and clips. Blocking: a second of a large clip takes a second or more."""

    def __init__(self, faces: FaceFinder, limits: ClipLimits) -> None:
        self._faces = faces
        self._limits = limits

    def study(self, source: Clip, tell: Tell) -> Study:
        """Return what is to be known of a picture or clip.

        Raises what `decode_picture`, `read_frames`, `follow_face` and the face finder raise.
        """
        if is_clip(source):
            return self._clip(source, tell)
        data = source if isinstance(source, bytes) else source.read_bytes()
        picture = decode_picture(data, self._limits.most_pixels)
        return Study(picture, self._faces.find(picture))

    def _clip(self, clip: Clip, tell: Tell) -> Study:
        expected = clip_info(clip, self._limits).frames
        followed = follow_face(read_frames(clip, self._limits), self._faces.follower(), tell, expected)
        face = self._faces.find(followed.poster)
        warnings = face.warnings
        if followed.guessed:
            warnings += (f"The face was not found in {followed.guessed} of the clip's frames; it is guessed there.",)
        return Study(followed.poster, Face(face.landmarks, warnings), followed.landmarks)

"""The networks' work: a face and what is heard become a face that says it.

crops [n, 256, 256, 3] uint8 BGR
-> latents [n, 8, 32, 32]                           (`Generator.latents`, once for each frame of an avatar)
+ windows [n, 50, 384] -> latents [n, 4, 32, 32]    (`Generator.predict`: one pass at timestep 0, no loop)
-> mouths [n, 256, 256, 3] uint8 BGR                (`Generator.decode`)

`Generator.faces` is the last two in one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from services.avatar.engines.musetalk.passes import Mode, pass_of

FACE_SIDE_PX = 256
LATENT_SIDE = 32

_MASKED_FROM_ROW = 128

Faces = npt.NDArray[np.uint8]
"""[n, 256, 256, 3], BGR."""


class Generator:
    """The image model and the generator, on one device in one precision."""

    def __init__(self, unet: Any, vae: Any, tiny_decoder: Any = None, *, mode: Mode = "eager") -> None:
        """`tiny_decoder`, an `AutoencoderTiny`, decodes in the image model's place: seventeen times less work.

        `mode` says how `faces` is run; in all but the first, batches must be of one size.
        """
        self._unet, self._vae, self._tiny_decoder = unet, vae, tiny_decoder
        self._scale = float(vae.config.scaling_factor)
        self.device: torch.device = unet.device
        self.dtype: torch.dtype = unet.dtype
        self._faces = pass_of(self._faces_of, mode)

    @torch.inference_mode()
    def latents(self, crops: Faces) -> Tensor:
        """Return what the generator sees of crops [n, 256, 256, 3]: [n, 8, 32, 32], each without its lower half,
        and the whole of it. The distribution's mode is taken, not a sample, so that it can be kept.
        """
        rgb = torch.from_numpy(np.ascontiguousarray(crops[..., ::-1].transpose(0, 3, 1, 2))).to(self.device) / 255.0
        masked = rgb.clone()
        masked[:, :, _MASKED_FROM_ROW:] = 0
        both = torch.cat([masked, rgb]).to(self.dtype) * 2 - 1
        encoded = self._vae.encode(both).latent_dist.mode() * self._scale
        seen: Tensor = torch.cat(encoded.chunk(2), 1)
        return seen

    @torch.inference_mode()
    def faces(self, latents: Tensor, windows: Tensor) -> Tensor:
        """Return the faces [n, 256, 256, 3] uint8 BGR of latents [n, 8, 32, 32] that say windows [n, 50, 384].

        They are valid until the next call, and stay on the device.
        """
        return self._faces(latents, windows)

    def _faces_of(self, latents: Tensor, windows: Tensor) -> Tensor:
        return self.decode(self.predict(latents, windows))

    @torch.inference_mode()
    def predict(self, latents: Tensor, windows: Tensor) -> Tensor:
        """Return latents [n, 4, 32, 32] of the mouths, for latents [n, 8, 32, 32] and windows [n, 50, 384]."""
        timestep = torch.zeros((), dtype=torch.long, device=self.device)
        predicted: Tensor = self._unet(latents, timestep, encoder_hidden_states=windows).sample
        return predicted

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Return images [n, 256, 256, 3] uint8 BGR of latents [n, 4, 32, 32]; they stay on the device."""
        if self._tiny_decoder is not None:
            images = self._tiny_decoder.decode(latents).sample
        else:
            images = self._vae.decode(latents / self._scale).sample
        levels = ((images / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        faces: Tensor = levels.flip(1).permute(0, 2, 3, 1)
        return faces

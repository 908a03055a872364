"""The musetalk engine: MuseTalk 1.5's inference on diffusers and transformers.

weights (the published files) · hearing (sound to windows) · crops (face to latents) · generation
(windows and latents to mouths) · blending (mouths into frames) · parity (all of it against
reference vectors). The method is MuseTalk's (github.com/TMElyralab/MuseTalk, MIT).
"""

"""The musetalk engine: MuseTalk 1.5's inference on diffusers and transformers.

weights (the published files) · faces, track, pack (an avatar to latents, boxes and masks, kept on disk)
· hearing (sound to windows) · gate (where nothing is said) · generation, batcher (windows and latents
to faces) · blending (faces into frames) · parity (all of it against reference vectors). The method is
MuseTalk's (github.com/TMElyralab/MuseTalk, MIT).
"""

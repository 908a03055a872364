"""The Kokoro engine: 82 million weights, many voices in eight languages, fast enough for a CPU.

The weights and kokoro-onnx are free to use in any way; the phonemes come from espeak-ng, which is GPL-3.0 and
therefore runs in the engine's own process.
"""

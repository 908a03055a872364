"""The espeak-ng engine: formant speech in every language, with no weights and hardly any work.

espeak-ng is licensed under the GPL-3.0, and its C API is one set of process globals. Both are why it
lives in worker processes of its own (`worker.py`), which this package drives through a pipe.
"""

"""The Qwen3-TTS engine: copied, built-in and described voices, in ten languages.

    engine      what the service sees: resolve, synthesize
    scheduler   which jobs share a batch, and which go first
    model       a checkpoint in memory: prompts in, codec frames out, frames to sound
    decoding    the loop that makes codec frames, row by row
    guard       token budgets and the watchdog against speech that never ends

The weights' own code comes from the package `qwen_tts`; the loops around it are ours, because it
can neither stream nor stop.
"""

"""The portrait engine: animates any front-facing picture from its landmarks, without weights or a GPU."""

"""Speech engines, one module or package each."""

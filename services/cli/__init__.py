"""The command line: say, up, doctor, avatar, voices. Each command imports what it needs when it runs."""

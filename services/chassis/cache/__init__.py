"""The cache: whole results by key, in memory, on disk and, where there is one, in Redis."""

"""Data sets on disk: files, archives, recordings, events."""

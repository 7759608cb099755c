"""Detection data sets on disk, and scenes rendered with known difficulty."""

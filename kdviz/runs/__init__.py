"""Runs: a spec in, a complete folder out."""

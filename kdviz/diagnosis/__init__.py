"""What two detectors see and where they differ: it reads networks and results, never trains."""

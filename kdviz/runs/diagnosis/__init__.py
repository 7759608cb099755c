"""A diagnosis opened, drawn and written: from files or detectors to pictures and a page."""

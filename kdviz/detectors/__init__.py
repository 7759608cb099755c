"""Detectors seen in parts: backbone, neck and head of any family, called apart."""

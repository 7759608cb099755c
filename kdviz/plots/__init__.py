"""Figures: arrays in, (figure, axes) out."""

"""Thin ipywidgets shells over the figures; each leaves a static picture."""

"""See where and why a small object detector learns from a big one."""

__version__ = "0.1.0"

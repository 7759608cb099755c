"""See where and why a small object detector learns from a big one."""

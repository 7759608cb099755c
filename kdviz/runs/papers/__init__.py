"""Recipes for the rows of the papers' tables: written, and set beside what was measured."""

"""Closed forms and bounds from the literature, each with its citation, in pure NumPy and SciPy."""

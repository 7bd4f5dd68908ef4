"""Detectors that ask a neural model in a local folder; torch is imported when one is opened."""

"""The detectors: each learns from human and synthetic texts and gives a number per text."""

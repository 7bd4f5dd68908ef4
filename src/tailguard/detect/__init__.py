"""Detectors of synthetic records, their operating points, prevalence, and watermarks."""

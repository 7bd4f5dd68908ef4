"""The report of the laboratory: runs and sweeps as one HTML page."""

"""Where data comes from, and how to prove it: gold lock, ledger, lineage, standards."""

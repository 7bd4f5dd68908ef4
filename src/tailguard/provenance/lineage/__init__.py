"""Lineage: how deep data is, how we know, what is downstream, and whose claims disagree."""

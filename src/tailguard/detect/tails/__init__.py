"""What a filter would delete of the human tails, and weights instead of deletion."""

"""How much of a corpus is synthetic, with an interval, from evidence of every grade."""

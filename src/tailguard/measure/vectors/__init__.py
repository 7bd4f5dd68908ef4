"""Numbers, vectors and images: their profile, and the test of a batch against gold.

Everything but text becomes rows of numbers: a table's columns, an embedding, the features of an
image. From there on there is one path. See docs/vectors.md.
"""

"""Standards in and out: each a reader and a writer; what a document says beyond ours survives."""

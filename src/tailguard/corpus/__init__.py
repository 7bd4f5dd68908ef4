"""Records in and out: files, folders, tables and archives become one form of Arrow batches."""

from tailguard.corpus.base import Columns, Corpus, Shard
from tailguard.corpus.open import open_corpus
from tailguard.corpus.quarantine import Quarantine
from tailguard.corpus.write import write_corpus

__all__ = ["Columns", "Corpus", "Quarantine", "Shard", "open_corpus", "write_corpus"]

"""Watermarks: marks in what your own models write, found again with tokenizer and key alone."""

from tailguard.detect.watermark.base import SCHEMES, Scheme, WatermarkError
from tailguard.detect.watermark.detection import Detection, Finding
from tailguard.detect.watermark.keys import WatermarkKey, load_key, make_key
from tailguard.detect.watermark.tokens import word_ids

__all__ = [
    "SCHEMES",
    "Detection",
    "Finding",
    "Scheme",
    "WatermarkError",
    "WatermarkKey",
    "load_key",
    "make_key",
    "word_ids",
]

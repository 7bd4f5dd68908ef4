"""Images as rows of numbers: a small grey picture, its colours, its edges, and its size.

Files come from strangers: only six formats are decoded, the size is checked before any pixel is,
and whatever the decoder refuses goes to the quarantine.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tailguard.errors import InputError
from tailguard.measure.base import Floats
from tailguard.measure.vectors.summary import Shape

SIDE = 16
MOST_PIXELS = 64_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SHAPE: Shape = (
    ("colour", 6),  # mean and deviation of red, green and blue
    ("edges", 1),  # log mean square of the Laplacian at full size
    ("picture", SIDE * SIDE),  # grey, area-averaged
    ("size", 2),  # log pixels, log of width over height
)
"""The features of an image, all grey and colour values in [0, 1]."""


def features(data: bytes) -> Floats:
    """The features of an encoded image, (265,), as ``SHAPE`` lists them.

    Raises :class:`InputError` for what is no image of the formats read, is damaged or cut short,
    or holds more than 64 million pixels.

    >>> from PIL import Image
    >>> file = io.BytesIO(); Image.new("RGB", (40, 20), "red").save(file, "PNG")
    >>> found = features(file.getvalue())
    >>> len(found), found[0].item(), round(math.exp(found[-1]), 9)
    (265, 1.0, 2.0)
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size: it is checked here, and more strictly
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise InputError(
                        "image", "at most 64 million pixels", f"{width}×{height}", "shrink it"
                    )
                colour = image.convert("RGB")
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError("image", "at most 64 million pixels", "more", "shrink it") from None
    except Exception as error:  # a decoder fed with strange bytes may raise anything
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        reason = "no image" if "cannot identify" in reason else reason
        raise InputError("image", "an image", reason, "check the file") from None
    grey = colour.convert("L")
    picture = grey.resize((SIDE, SIDE), Image.Resampling.BOX)
    channels = np.asarray(colour, np.float32).reshape(-1, 3) / 255
    return np.concatenate(
        [
            channels.mean(axis=0, dtype=np.float64),
            channels.std(axis=0, dtype=np.float64),
            [_edges(np.asarray(grey, np.float32) / np.float32(255))],
            np.asarray(picture, np.float64).ravel() / 255,
            [math.log(width * height), math.log(width / height)],
        ]
    )


def _edges(grey: NDArray[np.float32]) -> float:
    """Log mean square of the discrete Laplacian; a floor stands for a picture without edges."""
    if min(grey.shape) < 3:
        return math.log(1e-6)
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return math.log(float(np.square(around - 4 * middle).mean(dtype=np.float64)) + 1e-6)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Reads the features out of batches of encoded images."""

    shape: Shape = SHAPE

    def rows(self, batch: pa.RecordBatch) -> tuple[Floats, dict[int, str]]:
        """Features of every image (n, 265), and what is wrong with those that have none."""
        values = np.full((batch.num_rows, sum(width for _, width in self.shape)), np.nan)
        bad: dict[int, str] = {}
        for row, data in enumerate(batch.column("image")):
            held = data.as_py()
            if not isinstance(held, bytes):
                bad[row] = "no bytes of an image"
                continue
            try:
                values[row] = features(held)
            except InputError as error:
                bad[row] = f"image: {error.got}"
        return values, bad

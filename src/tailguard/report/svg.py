"""From a Matplotlib figure to SVG that lives inside an HTML page: no ids to clash, no links out.

Colours are drawn as fixed sentinels and come out as CSS variables with that colour as fallback,
so one drawing reads well on light and on dark. Text from data never reaches Matplotlib: labels
are drawn as slots and filled in afterwards, so that no label is parsed as mathematics, needs a
glyph of the drawing font, or escapes into markup.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tailguard.report.words import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS = 72  # SVG units to the inch
FONT_SIZE = 12.0

# Okabe & Ito (2008), and three neutrals. The page's style sheet gives the variants for dark.
COLOURS = {
    "ink": "#222222",
    "soft": "#666666",
    "grid": "#dddddd",
    "batch": "#0072b2",
    "gold": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
}


def canvas(
    width: float, height: float, *, left: float, right: float = 14, top: float = 34, bottom: float
) -> tuple[Figure, Axes]:
    """An empty plot of ``width`` × ``height`` SVG units with fixed margins, in the house style."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / UNITS, height / UNITS), dpi=UNITS)
    box = (left / width, bottom / height, (width - left - right) / width)
    axes = figure.add_axes((*box, (height - top - bottom) / height))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(COLOURS["grid"])
    axes.tick_params(
        which="both",
        colors=COLOURS["grid"],
        labelcolor=COLOURS["soft"],
        labelsize=FONT_SIZE,
        length=0,
        pad=6,
    )
    axes.set_axisbelow(True)
    return figure, axes


def slot(index: int) -> str:
    """The stand-in that is drawn where the label ``index`` shall come."""
    return f"slot-{index:04d}"


def svg(figure: Figure, name: str, alt: str, labels: Sequence[str] = ()) -> str:
    """The figure as one ``<svg role="img">`` element with ``alt`` as its label.

    ``name`` makes the ids of its markers unique within the page; ``labels`` fill the slots.
    The same figure always gives the same text.
    """
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tailguard"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue().decode("utf-8"), name, alt, labels)


def _inline(text: str, name: str, alt: str, labels: Sequence[str]) -> str:
    box = re.search(r'viewBox="([^"]+)"', text)
    assert box is not None  # Matplotlib always writes one
    body = text[text.index("</metadata>") + len("</metadata>") : text.rindex("</svg>")]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r' clip-path="url\([^)]*\)"', "", body)
    body = re.sub(r"<clipPath.*?</clipPath>", "", body, flags=re.DOTALL)
    body = re.sub(r' id="', f' id="{name}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body)
    body = re.sub(r"font-family: [^;\"]*", "font-family: inherit", body)
    for role, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{role}, {colour})")
    body = re.sub(r"slot-(\d{4})", lambda m: _escaped(labels[int(m.group(1))]), body)
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    return (
        f'<svg class="chart" viewBox="{box.group(1)}" role="img" '
        f'aria-label="{_escaped(alt, 1000)}">\n{body}\n</svg>'
    )


def _escaped(text: str, limit: int = 28) -> str:
    return html.escape(one_line(text, limit))

"""A verdict as one self-contained HTML page: no script, no request, light, dark and print."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from tailguard.measure.base import AXES, AXIS_NAMES
from tailguard.report import words
from tailguard.report.base import Verdict
from tailguard.report.codec import plain
from tailguard.report.figures import charts, margin_of

SHOWN_FINDINGS = 10  # the rest folds away
SHOWN_EXAMPLES = 8
EXAMPLE_CHARS = 600

# Every work whose method stands behind the report.
CITATIONS = (
    (
        "Shumailov et al. (2024). AI models collapse when trained on recursively generated data. "
        "Nature 631, 755–759.",
        "https://doi.org/10.1038/s41586-024-07566-y",
    ),
    (
        "Good (1953). The population frequencies of species and the estimation of population "
        "parameters. Biometrika 40, 237–264.",
        "https://doi.org/10.1093/biomet/40.3-4.237",
    ),
    (
        "Hill (1973). Diversity and evenness: a unifying notation and its consequences. "
        "Ecology 54, 427–432.",
        "https://doi.org/10.2307/1934352",
    ),
    (
        "Chao et al. (2014). Rarefaction and extrapolation with Hill numbers. "
        "Ecological Monographs 84, 45–67.",
        "https://doi.org/10.1890/13-0133.1",
    ),
    (
        "Chao and Jost (2012). Coverage-based rarefaction and extrapolation: standardizing "
        "samples by completeness rather than size. Ecology 93, 2533–2547.",
        "https://doi.org/10.1890/11-1952.1",
    ),
    (
        "Westfall and Young (1993). Resampling-based multiple testing: examples and methods for "
        "p-value adjustment. Wiley.",
        "https://openlibrary.org/isbn/9780471557616",
    ),
    (
        "Okabe and Ito (2008). Color universal design: how to make figures and presentations "
        "that are friendly to colorblind people.",
        "https://jfly.uni-koeln.de/color/",
    ),
)


def to_html(verdict: Verdict) -> str:
    """The verdict as one HTML page. The same verdict always gives the same text."""
    drawn = {chart.name: chart for chart in charts(verdict)}
    ordered = words.worst_first(verdict.findings)
    return _template().render(
        v=verdict,
        retention=drawn.pop("retention", None),
        charts=list(drawn.values()),
        findings=ordered[:SHOWN_FINDINGS],
        more_findings=ordered[SHOWN_FINDINGS:],
        counts={s: sum(f.severity == s for f in ordered) for s in ("fail", "warn")},
        margin=margin_of(verdict),
        alpha=_alpha(verdict),
        policy=[(key, _shown(value)) for key, value in sorted(plain(verdict.policy).items())],
    )


def _alpha(verdict: Verdict) -> float:
    alpha = verdict.policy.get("alpha", 0.01)
    return float(alpha) if isinstance(alpha, (int, float)) else 0.01


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return "none" if value in (None, {}) else str(value)


def _finalize(value: Any) -> Any:
    """Whatever the template prints, fit for HTML; markup of our own passes untouched."""
    return words.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tailguard.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=words.number,
        percent=words.percent,
        p_value=words.p_value,
        cut=words.cut,
        # Drawn by svg(), which escapes the only foreign text in it.
        drawing=Markup,
    )
    environment.globals.update(
        axes=AXES,
        axis_names=AXIS_NAMES,
        axis_words=words.AXIS_WORDS,
        axis_state=words.axis_state,
        axis_title=words.axis_title,
        citations=CITATIONS,
        damage_words=words.damage_words,
        example_chars=EXAMPLE_CHARS,
        interval=words.interval,
        shown_examples=SHOWN_EXAMPLES,
        span=words.span,
        stage_words=words.STAGE_WORDS,
        status_words=words.STATUS_WORDS,
    )
    return environment.get_template("verdict.html.j2")

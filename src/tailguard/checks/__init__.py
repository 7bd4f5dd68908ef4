"""Public conformance suite: whether what was added keeps the laws of its kind.

`check_metric` takes a metric's data sheet at its word, `check_regime` a regime's promise,
`check_family` a family's protocols, `check_detector` a detector's. To test your own, write
``check_regime(MINE)``; what is broken is said in one sentence.
"""

from __future__ import annotations

from tailguard.checks.detectors import check_detector
from tailguard.checks.families import check_family
from tailguard.checks.metrics import check_metric
from tailguard.checks.regimes import check_regime

__all__ = ["check_detector", "check_family", "check_metric", "check_regime"]

"""A verdict as SARIF 2.1.0, which code-scanning tools read.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0 (2020).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from tailguard.report.base import Finding, Verdict
from tailguard.report.codec import plain
from tailguard.report.words import STAGE_WORDS, axis_state, clean

SARIF_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_LEVELS = {"fail": "error", "warn": "warning", "info": "note"}
# A result that is no failure must have level "none" (SARIF 2.1.0, 3.27.10).
_VERDICTS = {
    "pass": ("pass", "none"),
    "warn": ("fail", "warning"),
    "fail": ("fail", "error"),
    "inconclusive": ("review", "none"),
}
_MAX_EXAMPLES = 5


def to_sarif(verdict: Verdict) -> str:
    """The verdict as SARIF: one result for the verdict, one for each finding, all on the batch."""
    rules: dict[str, dict[str, Any]] = {"tailguard/verdict": _rule("tailguard/verdict", "Verdict")}
    for finding in verdict.findings:
        rule_id = _rule_id(finding)
        rules.setdefault(rule_id, _rule(rule_id, f"Section {clean(finding.section)}"))
    index = {rule_id: i for i, rule_id in enumerate(rules)}
    location = [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": quote(clean(verdict.batch.name)) or "batch"}
            }
        }
    ]
    results = [_verdict_result(verdict), *(_finding_result(f) for f in verdict.findings)]
    for result in results:
        result["ruleIndex"] = index[result["ruleId"]]
        result["locations"] = location
    run = {
        "tool": {
            "driver": {
                "name": "tailguard",
                "version": verdict.version,
                "rules": list(rules.values()),
            }
        },
        "invocations": [{"executionSuccessful": True, "exitCode": verdict.exit_code}],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {
            "stage": verdict.stage,
            "score": plain(verdict.score),
            "axes": plain(verdict.axes),
            "batch": plain(verdict.batch),
            "gold": plain(verdict.gold),
            "seed": verdict.seed,
        },
    }
    log = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _rule_id(finding: Finding) -> str:
    return f"tailguard/{clean(finding.section)}"


def _rule(rule_id: str, text: str) -> dict[str, Any]:
    return {"id": rule_id, "shortDescription": {"text": text}}


def _verdict_result(verdict: Verdict) -> dict[str, Any]:
    kind, level = _VERDICTS[verdict.status]
    lines = [
        clean(verdict.headline),
        f"Stage {verdict.stage}: {STAGE_WORDS[verdict.stage]}.",
        *(f"Axis {a.axis}: {axis_state(a)[1]}." for a in verdict.axes),
        *(clean(step) for step in verdict.todo),
    ]
    return _result("tailguard/verdict", kind, level, lines, verdict.rule)


def _finding_result(finding: Finding) -> dict[str, Any]:
    shown = [f"Example: {clean(e[:400])}" for e in finding.examples[:_MAX_EXAMPLES]]
    lines = [clean(text) for text in (finding.title, finding.detail, finding.fix) if text] + shown
    level = _LEVELS[finding.severity]
    return _result(_rule_id(finding), "fail", level, lines or [finding.section], finding.title)


def _result(rule_id: str, kind: str, level: str, lines: list[str], identity: str) -> dict[str, Any]:
    digest = hashlib.sha256(f"{rule_id}\0{identity}".encode("utf-8", "replace")).hexdigest()
    return {
        "ruleId": rule_id,
        "kind": kind,
        "level": level,
        "message": {"text": "\n".join(lines)},
        "partialFingerprints": {"tailguard/v1": digest[:32]},
    }

"""The audit's section on synthetic text: shares, decisions, limits, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tailguard.auditing import audit
from tailguard.corpus import open_corpus
from tailguard.detect.calibration import Target
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.fitting import calibrate_detector, fit_detector
from tailguard.detect.store import save_detector
from tailguard.errors import InputError
from tailguard.measure.survey import survey
from tailguard.report.base import Finding, Verdict
from tailguard.report.figures import charts
from tailguard.report.policy import Policy

SHARED = [f"word{i}" for i in range(300)]
OWN = {"human": [f"plain{i}" for i in range(60)], "machine": [f"delve{i}" for i in range(60)]}
LAW = 1.0 / np.arange(1, 301) / (1.0 / np.arange(1, 301)).sum()


def written(kind: str, n: int, seed: int) -> list[str]:
    """Texts of one of two languages, or of a domain of its own."""
    rng = np.random.default_rng(seed)
    words = [f"court{i}" for i in range(300)] if kind == "foreign" else SHARED
    own = OWN["human"] if kind == "foreign" else OWN[kind]
    out = []
    for _ in range(n):
        drawn = rng.choice(words, 60, p=LAW)
        out.append(" ".join(np.where(rng.random(60) < 0.08, rng.choice(own, 60), drawn).tolist()))
    return out


GOLD = written("human", 400, 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A detector as fitted, and one that was calibrated too."""
    folder = tmp_path_factory.mktemp("detectors")
    raw, _ = fit_detector(
        open_corpus(written("human", 300, 2)), open_corpus(written("machine", 800, 3)),
        detector=LinearDetector(bits=12),
    )  # fmt: skip
    ready, _ = calibrate_detector(raw, open_corpus(written("human", 500, 4)), Target())
    found = {}
    for name, saved in (("raw", raw), ("ready", ready)):
        found[name] = str(folder / f"{name}.detector")
        save_detector(saved, found[name])
    return found


def mixed(human: int, machine: int) -> list[str]:
    return written("human", human, 5) + written("machine", machine, 6)


def audited(batch: Any, detector: str | None, gold: Any = GOLD, **asked: Any) -> Verdict:
    policy = Policy(sections={"detection": asked}) if asked else Policy()
    return audit(batch, gold, policy=policy, detector=detector, engine="serial")


def section(verdict: Verdict) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.section == "detection"]


def test_without_a_detector_the_audit_says_that_nothing_was_estimated() -> None:
    verdict = audited(mixed(100, 0), None)
    assert section(verdict) == []
    assert any("no detector was given" in caveat for caveat in verdict.caveats)


def test_the_share_and_its_interval_hold_the_truth(files: dict[str, str]) -> None:
    verdict = audited(mixed(600, 200), files["ready"])
    curve = verdict.curves["synthetic"]
    assert curve["lo"][0] <= 0.25 <= curve["hi"][0]
    assert curve["hi"][0] - curve["lo"][0] < 0.15
    share, decisions = section(verdict)
    assert "are synthetic [" in share.title and share.severity == "info"
    assert "decisions on 800 documents" in decisions.title
    assert 1 <= len(decisions.examples) <= 3
    assert all("delve" in example for example in decisions.examples)
    assert any("cannot prove" in caveat for caveat in verdict.caveats)


def test_a_detector_without_calibration_is_calibrated_on_gold(files: dict[str, str]) -> None:
    verdict = audited(mixed(600, 200), files["raw"])
    curve = verdict.curves["synthetic"]
    assert curve["lo"][0] <= 0.25 <= curve["hi"][0]
    few = GOLD[:50]
    with pytest.raises(InputError, match="299 human documents"):
        audited(mixed(600, 200), files["raw"], gold=few)
    profile = survey(open_corpus(GOLD)).profile
    with pytest.raises(InputError, match="calibrated detector, or gold as texts"):
        audited(mixed(600, 200), files["raw"], gold=profile)


def test_a_limit_fails_warns_or_holds_as_the_interval_lies(files: dict[str, str]) -> None:
    batch = mixed(600, 200)
    severities = {}
    for limit in (0.1, 0.25, 0.6):
        first = section(audited(batch, files["ready"], max_synthetic_frac=limit))[0]
        severities[limit] = first.severity
    assert severities == {0.1: "fail", 0.25: "warn", 0.6: "info"}
    strict = {"max_synthetic_frac": 0.25, "when_unsure": "fail"}
    verdict = audited(batch, files["ready"], **strict)
    assert section(verdict)[0].severity == "fail" and verdict.exit_code == 1


def test_a_limit_without_a_detector_never_passes_silently() -> None:
    (finding,) = section(audited(mixed(100, 0), None, max_synthetic_frac=0.1))
    assert finding.severity == "warn" and "no detector" in finding.title
    verdict = audited(mixed(100, 0), None, max_synthetic_frac=0.1, when_unsure="fail")
    assert verdict.status == "fail"


def test_a_slice_of_another_domain_is_not_told_but_the_others_are(files: dict[str, str]) -> None:
    texts = mixed(300, 100) + written("foreign", 300, 7)
    table = pa.table({"text": texts, "source": ["web"] * 400 + ["court"] * 300})
    verdict = audited(table, files["ready"])
    curve = verdict.curves["synthetic"]
    told = dict(zip(curve["slices"], curve["share"], strict=True))
    assert told["court"] is None and told["web"] is not None
    assert any("court is not told" in finding.title for finding in section(verdict))
    drawn = {chart.name: chart for chart in charts(verdict)}
    assert "not told" in drawn["synthetic"].alt and "court" in drawn["synthetic"].svg
    limited = section(audited(table, files["ready"], max_synthetic_frac=0.9))
    assert any("1 of 2 slices cannot be judged" in f.title and f.severity == "warn"
               for f in limited)  # fmt: skip


def test_documents_looked_at_are_drawn_from_the_whole_batch(files: dict[str, str]) -> None:
    # Human texts first: a prefix would find nothing synthetic.
    verdict = audited(mixed(600, 600), files["ready"], documents=400)
    curve = verdict.curves["synthetic"]
    assert curve["lo"][0] <= 0.5 <= curve["hi"][0]
    assert any("looked at 400 of 1,200 documents" in caveat for caveat in verdict.caveats)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"max_synthetic_frac": 1.5}, "max_synthetic_frac"),
        ({"when_unsure": "shrug"}, "when_unsure"),
        ({"max_synthetic": 0.1}, "max_synthetic"),
        ({"documents": 5}, "documents"),
    ],
)
def test_a_wrong_key_of_the_policy_is_one_clear_line(asked: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        audited(mixed(60, 0), None, **asked)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_detector_and_rows_of_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.detector"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="another kind of file"):
        audited(mixed(60, 0), str(path))
    rows = np.random.default_rng(0).normal(size=(80, 3))
    with pytest.raises(InputError, match="detector: expected a batch of texts"):
        audit(rows[:40], rows[40:], detector=str(path))
    profile = survey(open_corpus(mixed(60, 0))).profile
    with pytest.raises(InputError, match="a profile, which holds no texts"):
        audited(profile, str(path))

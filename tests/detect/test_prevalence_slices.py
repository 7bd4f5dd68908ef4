"""Shares by source and month: every date spelling, bounded slices, and the human share beside."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from detect_texts import texts, write_jsonl

from tailguard.cli.detect_prevalence import prevalence_lines, run_prevalence
from tailguard.corpus import Corpus, Quarantine, open_corpus
from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import Target
from tailguard.detect.fitting import calibrate_detector, fit_detector
from tailguard.detect.prevalence import slices
from tailguard.detect.prevalence.mixture import Prevalence
from tailguard.detect.prevalence.slices import Shares, months, shares_by, slice_keys
from tailguard.detect.prevalence.strata import ScoredAudit, together
from tailguard.detect.store import SavedDetector, save_detector


@dataclass(frozen=True)
class Case:
    """A calibrated detector, and synthetic texts it did not see."""

    saved: SavedDetector
    held: Corpus


@pytest.fixture(scope="module")
def case() -> Case:
    """Calibrated on humans of two sources whose words have nothing in common."""
    rng = np.random.default_rng(1)
    human, machine = texts("human", 300, rng), texts("machine", 300, rng)
    saved, _ = fit_detector(open_corpus(human), open_corpus(machine))
    gold = [*texts("human", 300, rng), *texts("foreign", 120, rng)]
    table = pa.table({"text": gold, "source": ["news"] * 300 + ["court"] * 120})
    saved, _ = calibrate_detector(saved, open_corpus(table), Target(0.05))
    return Case(saved, open_corpus(texts("machine", 300, rng)))


def mixture(share: float, n: int, rng: np.random.Generator) -> list[str]:
    """Texts of which exactly a share is synthetic, those first."""
    made = round(share * n)
    return [*texts("machine", made, rng), *texts("human", n - made, rng)]


def found_in(case: Case, table: pa.Table, by: tuple[str, ...], **more: object) -> Shares:
    """The shares of a table; bad rows are none here."""
    bad = Quarantine()
    rng = np.random.default_rng(7)
    found = shares_by(case.saved, open_corpus(table), {"m": case.held}, by=by, rng=rng,
                      quarantine=bad, **more)  # type: ignore[arg-type] # fmt: skip
    assert bad.total == 0
    return found


SPELLINGS = {
    "2021-05-03": "2021-05",
    "2021-05": "2021-05",
    " 2021-05-03 ": "2021-05",
    "2021-05-03T10:00:00Z": "2021-05",
    "2021-05-03 10:00": "2021-05",
    "2021-05-31T23:30:00-02:00": "2021-06",
    "2021-06-01T00:30:00+02:00": "2021-05",
    "2021-05-03T10:00:00.123456789Z": "2021-05",
    "2021": "2021-??",
    "2020": "2020-??",
    "0001-01-01": "0001-01",
    "9999-12-31": "9999-12",
}
GARBAGE = ["soon", "2021-13", "2021-02-31", "0000", "20210503", "05/03/2021", "2021-5-3", "-",
           "1620000000", "²⁰²¹", "2021-05-03\x00", "2021-05-" + "0" * 100_000]  # fmt: skip


def test_every_spelling_of_a_date_has_its_month_and_the_rest_none() -> None:
    given = [*SPELLINGS, *GARBAGE, "", "   ", None]
    found, unread = months(pa.record_batch({"created": pa.array(given, pa.string())}))
    assert found[: len(SPELLINGS)] == list(SPELLINGS.values())
    assert set(found[len(SPELLINGS) :]) == {"no date"}
    # Blanks and nulls say nothing; garbage says something that is not understood.
    assert unread == len(GARBAGE)


def test_dates_in_types_of_their_own_have_months() -> None:
    day, moment = dt.date(2021, 5, 3), dt.datetime(2021, 5, 31, 23, 30)
    zone = pa.timestamp("us", "America/New_York")
    for column, month in (
        (pa.array([day]), "2021-05"),
        (pa.array([day], pa.date64()), "2021-05"),
        (pa.array([moment], pa.timestamp("s")), "2021-05"),
        (pa.array([moment], pa.timestamp("ns")), "2021-05"),
        (pa.array([moment.replace(tzinfo=dt.UTC)], zone), "2021-05"),
        (pa.array(["2021-05"]).dictionary_encode(), "2021-05"),
        (pa.array(["2021-05"], pa.large_string()), "2021-05"),
        (pa.array([2021]), "2021-??"),
        (pa.array([20210503]), "no date"),
        (pa.array([[1, 2]]), "no date"),
        (pa.array([dt.time(12)]), "no date"),
        (pa.nulls(1), "no date"),
    ):
        assert months(pa.record_batch({"created": column}))[0] == [month], column.type
    assert months(pa.record_batch({"created": pa.array([], pa.string())})) == ([], 0)


def test_capture_dates_stand_in_where_creation_is_not_dated() -> None:
    batch = pa.record_batch(
        {"created": ["2020-01", "long ago", None, "?"], "captured": ["2021-02", "2021-03", "x", ""]}
    )
    assert months(batch) == (["2020-01", "2021-03", "no date", "no date"], 2)


def test_slices_are_the_combinations_that_occur() -> None:
    batch = pa.record_batch({
        "source": ["a", "a", None, "b"], "created": ["2021-01-05", "2021", "2021-01", "?"],
        "score": [1.5, None, 1.5, 2.0],
    })  # fmt: skip
    keys, unread = slice_keys(batch, ("source", "month", "score", "nothing"))
    assert keys == [("a", "2021-01", "1.5", None), ("a", "2021-??", None, None),
                    (None, "2021-01", "1.5", None), ("b", "no date", "2", None)]  # fmt: skip
    assert unread == 1
    assert slice_keys(batch, ())[0] == [()] * 4


def test_months_of_a_source_have_their_own_shares_in_order(case: Case) -> None:
    rng = np.random.default_rng(2)
    truth = {"2021-11": 0.1, "2021-12": 0.4, "2022-01": 0.7}
    parts = {month: mixture(share, 300, rng) for month, share in truth.items()}
    rows = [(text, f"{m}-0{1 + i % 9}") for m, some in parts.items() for i, text in enumerate(some)]
    rows = [rows[i] for i in rng.permutation(len(rows))] + [("a text of no time", "unknown")] * 5
    table = pa.table({"text": [r[0] for r in rows], "created": [r[1] for r in rows],
                      "source": ["news"] * len(rows)})  # fmt: skip
    found = found_in(case, table, ("source", "month"))
    assert [part.key for part in found.slices] == [("news", m) for m in (*truth, "no date")]
    for part, share in zip(found.slices, truth.values(), strict=False):
        assert part.found is not None and part.found.lo <= share <= part.found.hi, part
        assert part.n == 300 and part.drift.against == "news"
    assert found.slices[-1].found is None and found.unread_dates == 5
    assert found.total is None  # one slice was refused, so no sum is told
    lines = list(prevalence_lines(found))
    trend = next(line for line in lines if line.startswith("synthetic share 2021-11 to 2022-01 |"))
    bars = trend.split("|")[1]
    assert len(bars) == 3 and bars[0] < bars[1] < bars[2]
    assert any("not all together" in line for line in lines)
    assert any("5 records" in line and "date" in line for line in lines)
    dated = found_in(case, table.slice(0, len(rows) - 5), ("month",))
    assert dated.total is not None and dated.total.lo <= 0.4 <= dated.total.hi
    assert dated.total.n == 900 and dated.human is None


def test_slices_together_are_averages_weighted_by_size() -> None:
    one = Prevalence(0.2, 0.1, 0.3, 300, 0.5, "ok", "")
    two = Prevalence(0.6, 0.5, 0.9, 100, 0.2, "widened", "")
    both = together([one, two])
    assert both is not None and (both.n, both.status, both.fit_p) == (400, "widened", 0.2)
    assert (both.share, both.lo, both.hi) == pytest.approx((0.3, 0.2, 0.45))
    assert together([one]) is None and together([one, None]) is None


def test_averaged_ends_cover_however_slices_depend_on_each_other() -> None:
    rng = np.random.default_rng(3)
    weights = np.array([0.5, 0.3, 0.2])
    spread = np.array([0.02, 0.05, 0.01])
    for corr in (0.0, 0.5, 1.0):
        common = rng.normal(size=(20_000, 1))
        error = np.sqrt(corr) * common + np.sqrt(1 - corr) * rng.normal(size=(20_000, 3))
        missed = np.abs((weights * spread * error).sum(axis=1)) > 1.96 * (weights * spread).sum()
        assert missed.mean() < 0.055


def test_the_gate_compares_with_the_source_all_records_share(case: Case) -> None:
    rng = np.random.default_rng(4)
    some = [*mixture(0.3, 240, rng), *texts("foreign", 120, rng)]
    table = pa.table({
        "text": some, "source": ["news"] * 240 + ["court"] * 120,
        "language": ["en"] * 200 + ["de"] * 160, "created": ["2021-01"] * 360,
    })  # fmt: skip
    by_source = {p.key: p.drift for p in found_in(case, table, ("source",)).slices}
    assert by_source["court",].against == "court" and by_source["court",].state == "match"
    by_month = found_in(case, table, ("month",)).slices
    assert by_month[0].drift.against == ""
    by_both = {p.key: p.drift for p in found_in(case, table, ("language",)).slices}
    assert by_both["en",].against == "news" and by_both["de",].against == ""
    # The negative control: what all humans together would have said of the court.
    court = pa.array(some[240:], pa.large_string())
    assert case.saved.gate.check(court, None).state == "drift"


def test_copies_within_a_slice_are_resampled_together(case: Case) -> None:
    rng = np.random.default_rng(6)
    few = mixture(0.4, 240, rng)
    table = pa.table({"text": few, "source": ["news"] * 240})
    whole = found_in(case, pa.concat_tables([table] * 10), ()).slices[0]
    once, copied = found_in(case, table, ()).slices[0].found, whole.found
    assert once is not None and copied is not None and copied.n == whole.n == 2_400
    # To the gate, too, a copy is no further document.
    assert whole.drift.n == 240 and whole.drift.against == "news"
    assert once.status == copied.status == "ok"
    assert 0.8 < (copied.hi - copied.lo) / (once.hi - once.lo) < 1.25


def test_samples_of_many_slices_share_a_bound_and_stay_uniform(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "HELD_TEXTS", 200)  # four slices and a pool
    some = mixture(0.2, 400, np.random.default_rng(6))
    column = ["a", "b", "c", "d"] * 100
    table = pa.table({"text": some, "language": column})
    whole = slices._Pass(case.saved, ("language",), None, {})
    rng, again = np.random.default_rng(8), np.random.default_rng(8)
    keys = []
    for at in range(0, 400, 50):
        whole.add(table.slice(at, 50).combine_chunks().to_batches()[0], "here", rng=rng)
        keys.append(again.random(50))
    drawn = np.concatenate(keys)
    for name, part in whole.slices.items():
        own = np.sort(drawn[np.array(column) == name[0]])
        assert part.sample.keys.tolist() == own[:40].tolist() and len(part.sample.texts) == 40


def test_too_many_slices_and_unknown_columns_are_refused(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = texts("human", 12, np.random.default_rng(7))
    table = pa.table({"text": some, "source": [str(i) for i in range(12)]})
    for by, message in (
        (("sorce",), "a column sorce to slice by, got .*source"),
        (("month",), "a column captured or created to slice by"),
        (("source", "source"), "different columns"),
        (("source", ""), "different columns"),
    ):
        with pytest.raises(DetectorError, match=message) as caught:
            found_in(case, table, by)
        assert "\n" not in str(caught.value)
    assert len(found_in(case, table, ("source",)).slices) == 12
    monkeypatch.setattr(slices, "MOST_SLICES", 11)
    with pytest.raises(DetectorError, match="at most 11 slices"):
        found_in(case, table, ("source",))
    with pytest.raises(DetectorError, match="audited records, got none"):
        found_in(case, table, (), audit_column="checked")


def of_all_grades(rng: np.random.Generator) -> tuple[pa.Table, float]:
    """Attested humans, declared ones of whom a quarter lie, and records that say nothing."""
    declared, silent = mixture(0.25, 300, rng), mixture(0.5, 400, rng)
    some = [*texts("human", 100, rng), *declared, *silent]
    grade = ["attested"] * 100 + ["declared"] * 300 + ["none"] * 400
    kind = ["human"] * 400 + ["unknown"] * 400
    label: list[str | None] = [None] * 800
    for i in rng.choice(400, 120, replace=False) + 400:
        label[i] = "synthetic" if i < 600 else "human"
    table = pa.table({"text": some, "evidence": grade, "kind": kind, "checked": label,
                      "source": ["news"] * 800})  # fmt: skip
    return table, (100 + 225 + 200) / 800


def test_evidence_of_all_grades_gives_the_human_share_beside_the_slices(case: Case) -> None:
    table, truth = of_all_grades(np.random.default_rng(9))
    bare = found_in(case, table.drop(["checked"]), ())
    found = found_in(case, table, (), audit_column="checked")
    assert bare.human is not None and found.human is not None
    for human in (bare.human, found.human):
        assert human.lo <= truth <= human.hi and human.lo <= human.share <= human.hi
        assert human.hi - human.lo < 0.4 and human.n == 800
        # A quarter of the declarations is false: belief is refuted, and that is told.
        assert any("declared human" in text for text in human.contradictions)
    how = {part.stratum.name: part.guaranteed.how for part in found.human.parts}
    assert how["not verified"] == "audit of 120 with detector scores and detector"
    assert found.human.hi - found.human.lo < bare.human.hi - bare.human.lo
    audit = next(p.stratum.audit for p in found.human.parts if p.stratum.name == "not verified")
    assert isinstance(audit, ScoredAudit) and len(audit.human) == 120
    # The mean score is that of all these records, not of the sample.
    scores = case.saved.detector.score(table.column("text").slice(400).combine_chunks())
    assert case.saved.calibration is not None
    above = case.saved.calibration.scores[None, :] >= scores[:, None]
    assert audit.mean_score == pytest.approx(above.mean())
    lines = list(prevalence_lines(found))
    assert found.human.line in lines and any("contradiction: " in line for line in lines)


def test_sources_with_humans_of_their_own_are_estimated_apart(case: Case) -> None:
    rng = np.random.default_rng(12)
    news, court = mixture(0.4, 300, rng), texts("foreign", 200, rng)
    far = strange(50, rng)
    table = pa.table({"text": [*news, *court, *far], "kind": ["unknown"] * 550,
                      "source": ["news"] * 300 + ["court"] * 200 + ["far"] * 50})  # fmt: skip
    known = found_in(case, table.slice(0, 500), ()).human
    assert known is not None and known.lo <= 380 / 500 <= known.hi and known.hi - known.lo < 0.35
    # The negative control: without sources no mixture of humans explains these.
    blind = found_in(case, table.slice(0, 500).drop(["source"]), ()).human
    assert blind is not None and blind.hi - blind.lo > 0.9
    # What has no humans of its own and is too little to look at stays open, by its weight.
    more = found_in(case, table, ()).human
    assert (
        more is not None
        and more.lo < known.lo
        and more.hi - more.lo
        == pytest.approx((known.hi - known.lo) * 500 / 550 + 50 / 550, abs=0.03)
    )


def test_records_whose_claims_disagree_are_left_to_the_detector(case: Case) -> None:
    some = mixture(0.3, 300, np.random.default_rng(13))
    table = pa.table({"text": some, "kind": ["human"] * 300, "evidence": ["watermark"] * 300,
                      "source": ["news"] * 300})  # fmt: skip
    human = found_in(case, table, ()).human
    assert human is not None and "300 records make claims" in human.contradictions[0]
    assert [part.stratum.name for part in human.parts] == ["not verified"]
    assert human.lo <= 0.7 <= human.hi and human.hi - human.lo < 0.4


def test_the_gate_that_does_not_open_leaves_the_human_share_open(case: Case) -> None:
    rng = np.random.default_rng(10)
    some = [*texts("human", 100, rng), *(f"zebra{i} {t}" for i, t in enumerate(strange(200, rng)))]
    table = pa.table({"text": some, "kind": ["human"] * 100 + ["unknown"] * 200,
                      "evidence": ["attested"] * 100 + ["none"] * 200})  # fmt: skip
    human = found_in(case, table, ()).human
    assert human is not None and human.lo == pytest.approx(1 / 3) and human.hi == 1.0


def strange(n: int, rng: np.random.Generator) -> list[str]:
    """Texts in words that nobody calibrated on."""
    return [" ".join(f"odd{i}" for i in rng.integers(0, 50, 60)) for _ in range(n)]


def test_the_command_tells_table_and_json_and_counts_bad_rows(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(11)
    save_detector(case.saved, tmp_path / "full.detector")
    held = write_jsonl(tmp_path / "held.jsonl", texts("machine", 150, rng))
    some = [*mixture(0.2, 150, rng), *mixture(0.6, 150, rng)]
    when = ["2021-01-02"] * 150 + ["2021-03-04"] * 150
    new = write_jsonl(tmp_path / "new.jsonl", some, created=when, source=["news"] * 300,
                      site=["ne\x1bws"] * 300,
                      kind=["human"] * 300, evidence=["declared"] * 300)  # fmt: skip
    with Path(new).open("a") as file:
        file.write("{ not JSON\n")

    def run(as_json: bool) -> tuple[str, str]:
        run_prevalence([new], tmp_path / "full.detector", [held], ("site, month", None), 0, None,
                       as_json=as_json)  # fmt: skip
        told = capsys.readouterr()
        return told.out, told.err

    out, error = run(as_json=True)
    told = json.loads(out)
    assert told["quarantined"] == 1 and "1 row quarantined" in error
    assert told["by"] == ["site", "month"] and told["total"]["n"] == 300
    assert [row["slice"]["month"] for row in told["slices"]] == ["2021-01", "2021-03"]
    assert Counter(row["status"] for row in told["slices"]) == {"ok": 2}
    assert told["human_share"]["n"] == 300 and told["human_share"]["strata"][0]["lo"] < 0.8
    assert run(as_json=True)[0] == out
    table, _ = run(as_json=False)
    assert "\x1b" not in table and "ne␛ws, 2021-01: " in table and "all together:" in table
    bars = table.split("|")[1]
    assert len(bars) == 3 and bars[1] == " "  # February has no records
    assert "if declarations are true" in table or "contradiction: declared human" in table

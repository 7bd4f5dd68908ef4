"""Locking gold, and telling what is not as it was."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gold_cases import (
    GROUP,
    KEY,
    STRANGER,
    locked,
    make_gold,
    payload,
    rows,
    verified,
    write,
)

from tailguard.corpus import open_corpus
from tailguard.errors import CorpusError, InputError
from tailguard.provenance import canonical, envelope, merkle
from tailguard.provenance.base import EnvelopeError, LockError
from tailguard.provenance.gold import hashing, lockfile, wording
from tailguard.provenance.gold import rows as stored
from tailguard.provenance.gold.columns import Tally
from tailguard.provenance.gold.files import find_files

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def table(path: Path) -> pa.Table:
    return pq.read_table(path)


def test_untouched_gold_verifies_and_the_lock_says_what_it_holds(tmp_path: Path) -> None:
    gold = make_gold(tmp_path / "gold")
    signed = locked(gold, created=AT, profile="sha256:abc")
    found = verified(signed, gold)
    assert found.ok and found.unchanged and found.signature == "trusted"
    told = payload(signed)
    assert [(f["path"], f["rows"], len(f["groups"])) for f in told["files"]] == [
        ("a.parquet", 100, 13), ("c.jsonl", 30, 4), ("sub/b.parquet", 5, 1)
    ]  # fmt: skip
    assert told["rows"] == 135 and told["by"] == "curation team" and told["profile"] == "sha256:abc"
    assert told["created"] == "2026-01-02T03:04:05Z" and told["key"] == KEY.public.vkey
    assert told["columns"]["score"] == {"kinds": ["number"], "values": 135}
    assert str(tmp_path) not in signed.payload.decode()


def test_roots_are_those_of_rfc_9162_over_the_record_hashes(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    told = payload(locked(gold))
    leaves = [bytes.fromhex(one) for one in canonical.record_ids(table(gold / "a.parquet"))]
    file = told["files"][0]
    assert file["root"] == merkle.root(leaves).hex()
    assert file["groups"] == [
        merkle.root(leaves[i : i + GROUP]).hex() for i in range(0, 100, GROUP)
    ]
    tops = [
        merkle.leaf_hash(envelope.canonical_json({k: f[k] for k in ("path", "root", "rows")}))
        for f in told["files"]
    ]
    assert told["root"] == merkle.root(tops).hex()


def test_rewriting_a_file_changes_nothing_that_is_locked(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold, created=AT)
    again = table(gold / "a.parquet").select(["n", "score", "kind", "id", "text"])
    for options in ({"row_group_size": 7}, {"compression": "zstd", "use_dictionary": False}):
        pq.write_table(again, gold / "a.parquet", **options)
        assert verified(signed, gold).ok
        assert locked(gold, created=AT) == signed


def test_the_result_does_not_depend_on_workers_or_on_how_files_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold, created=AT)
    for size, engine in ((50, "serial"), (600, "serial"), (1_100, "local"), (3_000, "serial")):
        monkeypatch.setattr(stored, "SHARD_BYTES", size)
        monkeypatch.setattr(hashing, "SHARD_BYTES", size)
        parts = [len(stored.cut(file)) for file in find_files(gold)]
        assert size > 50 or max(parts) > 30
        assert locked(gold, created=AT, engine=engine, workers=2) == signed
        assert verified(signed, gold).ok


@pytest.mark.parametrize(("row", "group"), [(0, 0), (7, 0), (8, 1), (64, 8), (99, 12)])
def test_a_changed_value_is_told_with_its_file_and_rows(
    tmp_path: Path, row: int, group: int
) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold)
    records = rows(0, 100)
    records[row]["score"] += 2**-40
    write(gold / "a.parquet", records)
    found = verified(signed, gold)
    [difference] = found.changed
    end = min(group * GROUP + GROUP, 100)
    assert (difference.path, difference.groups) == ("a.parquet", ((group, group * GROUP, end),))
    assert not found.ok and not found.same_records and not (found.missing or found.extra)
    lines = list(wording.details(found))
    assert lines == [f"changed: a.parquet: rows {group * GROUP}–{end - 1} (1 groups)"]


def test_rows_added_removed_or_moved_are_told(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold)
    write(gold / "a.parquet", rows(0, 97))
    write(gold / "sub" / "b.parquet", rows(100, 106))
    changed = {one.path: one for one in verified(signed, gold).changed}
    assert [g for g, _, _ in changed["a.parquet"].groups] == [12]
    assert (changed["a.parquet"].rows_found, changed["a.parquet"].rows_locked) == (97, 100)
    assert changed["sub/b.parquet"].groups == ((0, 0, 6),)
    assert verified(signed, gold).columns[0] == "id: 133 values, 135 were locked"
    make_gold(gold)
    swapped = [*rows(0, 50), *rows(51, 52), *rows(50, 51), *rows(52, 100)]
    write(gold / "a.parquet", swapped)
    [one] = verified(signed, gold).changed
    assert [g for g, _, _ in one.groups] == [6]


def test_missing_extra_and_renamed_files_are_told_apart(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold)
    (gold / "a.parquet").rename(gold / "sub" / "z.parquet")
    (gold / "c.jsonl").unlink()
    write(gold / "new.parquet", rows(500, 503))
    found = verified(signed, gold)
    assert found.columns == ()
    assert found.renamed == (("a.parquet", "sub/z.parquet"),)
    assert (found.missing, found.extra, found.changed) == (("c.jsonl",), ("new.parquet",), ())
    assert not found.unchanged and not found.same_records
    make_gold(gold)
    (gold / "new.parquet").unlink()
    (gold / "sub" / "z.parquet").unlink()
    (gold / "c.jsonl").rename(gold / "d.jsonl")
    found = verified(signed, gold)
    assert found.same_records and not found.unchanged and not found.ok
    assert list(wording.details(found)) == [
        "renamed: c.jsonl is now d.jsonl, with the same records"
    ]


def test_a_folder_that_lost_all_its_files_is_told_as_such(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold)
    for path in gold.rglob("*.*"):
        path.unlink()
    assert verified(signed, gold).missing == ("a.parquet", "c.jsonl", "sub/b.parquet")
    with pytest.raises(LockError, match="nothing there"):
        verified(signed, gold / "nowhere")


def test_two_copies_of_a_file_are_not_both_taken_for_the_renamed_one(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold)
    content = (gold / "a.parquet").read_bytes()
    (gold / "a.parquet").unlink()
    (gold / "x.parquet").write_bytes(content)
    (gold / "y.parquet").write_bytes(content)
    found = verified(signed, gold)
    assert found.renamed == (("a.parquet", "x.parquet"),) and found.extra == ("y.parquet",)
    signed = locked(gold)
    (gold / "x.parquet").unlink()
    (gold / "y.parquet").rename(gold / "z.parquet")
    found = verified(signed, gold)
    assert found.renamed == (("x.parquet", "z.parquet"),) and found.missing == ("y.parquet",)


def test_a_damaged_file_is_named_and_the_others_are_still_compared(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold)
    content = (gold / "a.parquet").read_bytes()
    (gold / "a.parquet").write_bytes(content[:-9])
    (gold / "c.jsonl").write_text("no JSON\n")
    write(gold / "sub" / "b.parquet", rows(0, 5))
    found = verified(signed, gold)
    assert [one.path for one in found.changed] == ["a.parquet", "c.jsonl", "sub/b.parquet"]
    assert found.changed[0].fault and "byte 0" in found.changed[1].fault
    assert found.changed[2].groups and not found.changed[2].fault
    for data in (gold / "a.parquet", gold / "c.jsonl"):
        with pytest.raises(InputError) as refused:
            locked(data)
        assert data.name in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_changes_while_it_is_read_is_not_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gold = make_gold(tmp_path)
    honest = stored.Part.leaves

    def meddle(part: stored.Part, tally: Tally) -> Any:
        yield from honest(part, tally)
        if part.file.name == "c.jsonl":
            os.utime(part.file.path, ns=(1, 1))

    monkeypatch.setattr(stored.Part, "leaves", meddle)
    with pytest.raises(LockError, match="changes while"):
        locked(gold)


def test_links_out_of_the_data_are_refused(tmp_path: Path) -> None:
    gold = make_gold(tmp_path / "gold")
    outside = write(tmp_path / "outside" / "x.parquet", rows(0, 3))
    (gold / "link.parquet").symlink_to(outside)
    with pytest.raises(LockError, match="a link out of it"):
        locked(gold)
    (gold / "link.parquet").unlink()
    (gold / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(LockError, match="a link to a folder"):
        locked(gold)
    (gold / "folder").unlink()
    (gold / "inside.parquet").symlink_to("a.parquet")
    assert payload(locked(gold))["rows"] == 235


def test_file_names_that_a_lock_cannot_hold_are_refused(tmp_path: Path) -> None:
    for name in (b"new\nline.parquet", b"back\\slash.parquet", b"\xff.parquet"):
        folder = tmp_path / name.hex()
        folder.mkdir()
        write(folder / "a.parquet", rows(0, 2))
        os.rename(os.fsencode(folder / "a.parquet"), os.fsencode(folder) + b"/" + name)
        with pytest.raises(LockError, match="rename"):
            locked(folder)


def test_the_signature_tells_trusted_unknown_and_altered_apart(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold, key=STRANGER)
    found = verified(signed, gold)
    assert (found.signature, found.unchanged, found.ok) == ("unknown", True, False)
    assert found.signers == (f"stranger ({STRANGER.public.key_id[:16]})",)
    mine = locked(gold)
    altered = envelope.Envelope(
        mine.payload_type, mine.payload.replace(b"curation team", b"curation tean"), mine.signatures
    )
    found = verified(altered, gold)
    assert (found.signature, found.lock, found.unchanged) == ("wrong", None, False)
    # A stranger's signature over a lock that names our key, and our lock signed by a stranger.
    swapped = envelope.sign(json.loads(mine.payload), mine.payload_type, STRANGER)
    assert verified(swapped, gold).signature == "wrong"
    claimed = envelope.Envelope(
        mine.payload_type, mine.payload, ((KEY.public.key_id, swapped.signatures[0][1]),)
    )
    assert verified(claimed, gold).signature == "wrong"


def test_data_that_cannot_be_locked_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.exe").touch()
    (tmp_path / "none.jsonl").touch()
    for data in (
        tmp_path / "empty", tmp_path / "missing", tmp_path / "x.exe", tmp_path / "none.jsonl",
        "s3://bucket/key.parquet", "builtin:python-docs", "*.nothing", "", [], [""], [3], None,
    ):  # fmt: skip
        with pytest.raises((LockError, CorpusError)) as refused:
            locked(data)
        assert "\n" not in str(refused.value)
    gold = make_gold(tmp_path / "gold")
    for options in ({"by": ""}, {"by": "a\nb"}, {"group_rows": 100}, {"group_rows": 0}):
        with pytest.raises(LockError):
            locked(gold, **options)


def test_hidden_and_foreign_files_are_passed_over_as_everywhere(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    signed = locked(gold)
    for name in (".hidden.parquet", "README.md", "gold.lock", "notes"):
        (gold / name).write_text("anything")
    assert verified(signed, gold).ok


def test_what_is_locked_is_what_a_corpus_reads(tmp_path: Path) -> None:
    """Gold is audited through a corpus: a file that one sees and the other does not is a hole."""
    gold = make_gold(tmp_path / "gold")
    (gold / "notes.txt").write_text("passed over, because there are files of rows")
    (gold / ".hidden.jsonl").write_text("no JSON")
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("a.txt", "b.md", "LICENSE"):
        (texts / name).write_text("some text")
    saved = tmp_path / "saved"
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(saved)
    with pa.ipc.new_stream(saved / "cache-1.arrow", pa.schema([("text", pa.string())])):
        pass
    for data in (gold, texts, saved):
        shards: Any = open_corpus(data).shards
        read = {
            file.path for shard in shards for file in getattr(shard, "files", None) or [shard.file]
        }
        assert {file.path for file in find_files(data)} == read


def test_one_file_or_a_list_of_files_can_be_gold(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    one = locked(gold / "a.parquet")
    assert verified(one, str(gold / "a.parquet")).ok
    both = [gold / "sub" / "b.parquet", gold / "a.parquet"]
    assert [f["path"] for f in payload(locked(both))["files"]] == ["a.parquet", "sub/b.parquet"]
    assert verified(locked(f"{gold}/*.parquet"), gold / "a.parquet").ok


def test_lock_files_come_back_as_they_were_saved(tmp_path: Path) -> None:
    signed = locked(make_gold(tmp_path / "gold"))
    envelope.save(signed, tmp_path / "gold.lock")
    assert lockfile.load(tmp_path / "gold.lock") == signed
    assert verified(tmp_path / "gold.lock", tmp_path / "gold").ok
    envelope.save(envelope.sign({}, "other/type", KEY), tmp_path / "other")
    with pytest.raises(EnvelopeError, match="a gold lock"):
        verified(tmp_path / "other", tmp_path / "gold")

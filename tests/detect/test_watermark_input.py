"""Keys, settings and texts as they arrive: one line or an abstention, never a silent score."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from watermark_cases import KEY, OTHER

from tailguard.cli.watermark import app
from tailguard.corpus import open_corpus
from tailguard.detect.watermark import SCHEMES, Detection, Scheme, WatermarkError, WatermarkKey
from tailguard.detect.watermark.corpora import folder_tokenizer
from tailguard.detect.watermark.keys import load_key, make_key
from tailguard.detect.watermark.sampling import marker
from tailguard.detect.watermark.tokens import flatten, word_ids
from tailguard.errors import TailguardError
from tailguard.lab.watermarked import lab_ids


def ran(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and output of a command, or what it refused with."""
    done = CliRunner().invoke(app, [str(a) for a in arguments], standalone_mode=False)
    if isinstance(done.exception, TailguardError):
        return done.exception.exit_code, str(done.exception)
    assert done.exception is None, done.exception
    return int(done.return_value or 0), done.stdout


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "a.key")
    return tmp_path / "a.key"


def test_a_key_file_is_its_owners_alone_and_never_replaced(key: Path) -> None:
    before = key.read_bytes()
    assert os.stat(key).st_mode & 0o777 == 0o600 and len(before) == 65
    with pytest.raises(WatermarkError, match="a new file"):
        make_key(key)
    assert key.read_bytes() == before
    assert load_key(key).name == "a"
    os.chmod(key, 0o640)
    with pytest.raises(WatermarkError, match="0640"):
        load_key(key)


@pytest.mark.parametrize(
    "content", [b"", b"abcd", b"zz" * 32, b"00" * 32, b"\xff" * 40, b"ab" * 9_000, b"a b\n" * 9]
)
def test_a_damaged_key_is_refused_without_telling_what_it_holds(key: Path, content: bytes) -> None:
    key.write_bytes(content)
    with pytest.raises(WatermarkError) as told:
        load_key(key)
    line = str(told.value)
    assert "\n" not in line and (not content or content.decode("latin-1")[:4] not in line[60:])
    assert told.value.__cause__ is None


def test_missing_keys_folders_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe", "a\0b"):
        with pytest.raises(WatermarkError):
            load_key(path)
    with pytest.raises(WatermarkError):
        make_key(tmp_path / "no" / "folder")


def test_a_secret_is_in_no_repr_and_cannot_be_copied_or_pickled() -> None:
    shown = repr(KEY) + repr(marker(Scheme("exp"), KEY)) + repr(Detection(Scheme("exp"), [KEY]))
    assert bytes(range(32)).hex() not in shown
    assert str(int(KEY.words(Scheme("exp"))[0])) not in shown
    for attempt in (copy.copy, copy.deepcopy, lambda key: key.__reduce_ex__(4)):
        with pytest.raises(TypeError):
            attempt(KEY)
    for short in (b"", bytes(15), bytes(5_000)):
        with pytest.raises(WatermarkError):
            WatermarkKey(short)


@pytest.mark.parametrize(
    "settings",
    [{"name": "kgv"}, {"gamma": 0.0}, {"gamma": 1.0}, {"gamma": math.nan}, {"delta": -1.0},
     {"delta": math.inf}, {"layers": 0}, {"layers": 65}, {"width": 0}, {"width": 17}],
)  # fmt: skip
def test_settings_out_of_range_are_one_line(settings: dict[str, object]) -> None:
    with pytest.raises(WatermarkError, match="expected") as told:
        Scheme(**{"name": "kgw", **settings})  # type: ignore[arg-type]
    assert "\n" not in str(told.value)


def test_keys_named_twice_or_not_at_all_are_refused() -> None:
    again = WatermarkKey(bytes(range(32)), "again")
    for keys in ([], [KEY, KEY], [KEY, again]):
        with pytest.raises(WatermarkError):
            Detection(Scheme("kgw"), keys)
    for alpha in (0.0, 1.0, math.nan):
        with pytest.raises(WatermarkError):
            Detection(Scheme("kgw"), [KEY], alpha=alpha)


@pytest.mark.parametrize("name", SCHEMES)
def test_empty_and_one_token_texts_abstain_with_a_note(name: str) -> None:
    for windows in (False, True):
        test = Detection(Scheme(name), [KEY, OTHER], windows=windows)  # type: ignore[arg-type]
        empty, one = test.update(lab_ids(["", "word"]))
        assert empty.decision == one.decision == "abstain"
        assert math.isnan(empty.p) and empty.units == 0 and "0 tokens" in empty.note
        assert one.note
    none = Detection(Scheme(name), [KEY])  # type: ignore[arg-type]
    assert none.update([]) == [] and none.decision() == "abstain"
    assert math.isnan(none.overall()["ours"])


def test_ids_that_are_no_ids_are_refused() -> None:
    for bad in ([[0.5]], [[-1]], [[[1]]], [["a"]], [[True]]):
        with pytest.raises(WatermarkError):
            flatten(bad)  # type: ignore[arg-type]
    assert len(word_ids([])) == 0


def test_ten_megabytes_of_one_document_are_tested_in_seconds() -> None:
    text = " ".join(f"w{i % 200_003}" for i in range(1_300_000))
    assert len(text) > 10_000_000 - 1_500_000
    start = time.process_time()
    for windows in (False, True):
        found = Detection(Scheme("kgw"), [KEY], windows=windows).update(lab_ids([text]))[0]
        assert found.decision == "not found" and found.units > 200_000
    assert time.process_time() - start < 15


def test_embed_then_detect_finds_the_mark_and_states_the_origin(key: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "human.jsonl", tmp_path / "marked.jsonl"
    batch = next(open_corpus("builtin:python-docs").batches())
    rows = [{"text": text[:2_000], "kind": "human"} for text in batch["text"].to_pylist()[:20]]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("-o", out, "--key-file", key, "--scheme", "kgw", "-n", "6", "--order", "3")
    code, told = ran("embed", source, *asked)
    assert code == 0 and "6 records marked with kgw/v1" in told
    first = out.read_bytes()
    written = [json.loads(line) for line in first.splitlines()]
    for row in written:
        assert (row["kind"], row["evidence"], row["generation"]) == ("synthetic", "watermark", 1)
        assert "NGram" in row["generator"] and row["watermark"] == "kgw/v1/width=1/gamma=0.25"
    assert key.read_text().strip() not in out.read_text()
    ran("embed", source, *asked)
    assert out.read_bytes() == first  # same seed, same bytes
    code, text = ran("detect", out, "--key-file", key, "--scheme", "kgw", "--json")
    found = json.loads(text)
    assert code == 1 and found["decision"] == "marked" and len(found["documents"]) == 6
    assert found["keys"]["a"]["p"] < 1e-4
    code, text = ran("detect", source, "--key-file", key, "--scheme", "kgw")
    assert code == 0 and "not found" in text.splitlines()[-1]


def test_detection_of_too_little_text_is_inconclusive_and_says_so(
    key: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short.jsonl"
    short.write_text('{"text": ""}\n{"text": "two words"}\n')
    code, text = ran("detect", short, "--key-file", key, "--scheme", "kgw", "--json")
    assert code == 3 and json.loads(text)["documents"][0]["p"] is None
    code, text = ran("detect", short, "--key-file", key, "--windows", "--scheme", "kgw")
    assert code == 3 and "abstain" in text and "no unit" in text


def test_commands_refuse_bad_use_in_one_line(key: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "a b c"}\n')
    for wrong in (
        ("detect", source, "--key-file", tmp_path / "none"),
        ("detect", source, "--key-file", key, "--scheme", "morse"),
        ("detect", source, "--key-file", key, "--alpha", "2"),
        ("detect", source, "--key-file", key, "--tokenizer", tmp_path / "none"),
        ("detect", tmp_path / "missing.jsonl", "--key-file", key),
        ("embed", source, "-o", key, "--key-file", key),
        ("embed", source, "-o", source, "--key-file", key),
        ("embed", source, "-o", out, "--key-file", key, "--gamma", "7"),
        ("keygen", "-o", key),
    ):
        code, line = ran(*wrong)
        assert code == 2 and "expected" in line and "\n" not in line, wrong
    assert not out.exists()


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WatermarkError, match="expected"):
        folder_tokenizer(tmp_path)
    with pytest.raises(WatermarkError, match="a folder"):
        folder_tokenizer(tmp_path / "none")


def test_word_ids_depend_on_the_bytes_of_a_word_alone() -> None:
    words = [" a", "a", "A", "é", "e\u0301", ""]
    ids = word_ids(words)
    assert len(set(ids.tolist())) == len(words)
    assert (word_ids(words[::-1]) == ids[::-1]).all()
    assert np.asarray(ids).dtype == np.uint64

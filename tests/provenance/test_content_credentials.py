"""Content credentials become origin: real manifests, signed here, read back."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

c2pa = pytest.importorskip("c2pa")

from credential_cases import (  # noqa: E402
    CAPTURED,
    GENERATED,
    MIME,
    MINING,
    OPENED,
    PLACED,
    alter,
    authority,
    check_that_no_alteration_is_believed,
    picture,
    said,
    signed,
    stated,
)

from tailguard.corpus.origin import IPTC, KIND_OF_SOURCE_TYPE, canonical  # noqa: E402
from tailguard.provenance.standards import c2pa_origin, c2pa_status  # noqa: E402
from tailguard.provenance.standards.c2pa import (  # noqa: E402
    CredentialError,
    CredentialReader,
)
from tailguard.provenance.standards.c2pa_columns import COLUMNS, row_of  # noqa: E402
from tailguard.provenance.standards.opt_out import denies  # noqa: E402

ALPHA, BETA = authority("Alpha"), authority("Beta")


@pytest.fixture(scope="module")
def photo() -> bytes:
    return signed(CAPTURED | {"when": "2025-05-06T07:08:09Z"}, by=BETA, shade=10)


@pytest.fixture(scope="module")
def generated() -> bytes:
    return signed(GENERATED, by=ALPHA, assertions=(MINING,))


@pytest.mark.parametrize("form", MIME)
def test_capture_under_a_trusted_anchor_is_attested_human_in_every_format(form: str) -> None:
    made = signed(CAPTURED, by=ALPHA, form=form)
    found = said(made, ALPHA)
    assert (found.state, found.origin.kind, found.origin.evidence) == (
        "trusted", "human", "attested",
    )  # fmt: skip
    assert found.origin.generation == 0
    assert found.origin.digital_source_type == IPTC + "digitalCapture"
    assert found.origin.generator is None
    assert (found.signer, found.claim_generator) == ("Alpha Studio", "Editor@7")
    assert found.signed is None  # no time stamp authority was asked

    spoiled = said(alter(made, picture(form=form)), ALPHA)
    assert (spoiled.state, spoiled.origin) == ("invalid", c2pa_origin.Origin())
    assert [code for code in spoiled.failures if code.endswith("Hash.mismatch")]


def test_generated_picture_is_synthetic_of_unknown_generation(generated: bytes) -> None:
    origin = said(generated, ALPHA).origin
    assert (origin.kind, origin.generation, origin.evidence) == ("synthetic", None, "attested")
    assert (origin.generator, origin.created) == ("Imagen@3", "2026-01-02T03:04:05Z")


def test_signer_under_no_anchor_of_the_user_is_only_declared(generated: bytes) -> None:
    impostor = authority("Alpha", serial=1)
    for anchors in ((), (BETA,), (impostor,)):
        found = said(generated, *anchors)
        assert (found.state, found.origin.evidence) == ("valid", "declared")
        assert found.origin.kind == "synthetic"
        assert "signingCredential.untrusted" in found.failures


def test_generated_component_in_a_photograph_makes_it_mixed(photo: bytes, generated: bytes) -> None:
    made = signed(OPENED, PLACED, by=ALPHA, parent=photo, component=generated)
    found = said(made, ALPHA, BETA)
    assert (found.origin.kind, found.origin.evidence) == ("mixed", "attested")
    assert found.origin.generator == "Imagen@3"
    assert found.origin.created == "2025-05-06T07:08:09Z"  # the parent's, not the component's
    labels = (said(photo).manifest, said(generated).manifest)
    assert found.origin.parents == labels
    assert found.origin.digital_source_type is None  # none that was stated means mixed
    assert said(made, ALPHA).origin.evidence == "declared"  # the photograph is anybody's


def test_trusted_editor_cannot_attest_what_a_stranger_claims() -> None:
    lie = signed(CAPTURED, by=BETA)
    washed = signed(OPENED, by=ALPHA, parent=lie)
    found = said(washed, ALPHA)
    assert (found.state, found.origin.kind, found.origin.evidence) == (
        "trusted", "human", "declared",
    )  # fmt: skip


def test_editor_cannot_rename_a_generated_picture_that_it_opens(generated: bytes) -> None:
    renamed = signed(OPENED | stated("c2pa.opened", "digitalCapture"), by=ALPHA, parent=generated)
    assert said(renamed, ALPHA).origin.kind == "mixed"
    polished = signed(OPENED | stated("c2pa.opened", "humanEdits"), by=ALPHA, parent=generated)
    assert said(polished, ALPHA).origin.kind == "synthetic"


@pytest.mark.parametrize("recorded", [False, True])
def test_chain_of_three_edits_is_as_trusted_as_its_weakest_link(
    photo: bytes, recorded: bool
) -> None:
    both = ALPHA.root + BETA.root if recorded else ""
    edited = photo
    for _ in range(2):
        retouch = stated("c2pa.edited", "humanEdits")
        edited = signed(OPENED, retouch, by=ALPHA, parent=edited, ingested_under=both)
    full = said(edited, ALPHA, BETA)
    assert (full.origin.kind, full.origin.evidence) == ("human", "attested")
    assert full.origin.created == "2025-05-06T07:08:09Z"
    for anchors in ((ALPHA,), (BETA,), ()):
        found = said(edited, *anchors)
        assert (found.origin.kind, found.origin.evidence) == ("human", "declared"), anchors


def test_ingredient_spoiled_before_it_was_taken_in_counts_as_unknown(photo: bytes) -> None:
    made = signed(OPENED, by=ALPHA, parent=alter(photo, picture(10)))
    found = said(made, ALPHA, BETA)
    assert (found.origin.kind, found.origin.evidence) == ("unknown", "none")
    assert found.origin.digital_source_type is None and found.origin.generation is None
    assert any("assertion.dataHash.mismatch" in note for note in found.notes)


def test_ingredient_manifest_altered_after_signing_spoils_the_file(photo: bytes) -> None:
    deep = signed(OPENED, by=ALPHA, parent=signed(OPENED, by=ALPHA, parent=photo))
    assert said(deep, ALPHA, BETA).origin.kind == "human"
    found = said(deep.replace(b"digitalCapture", b"digitalCreatio"), ALPHA, BETA)
    assert (found.state, found.origin.kind) == ("invalid", "unknown")


def test_ingredient_without_credentials_is_unknown_unless_the_editor_says() -> None:
    silent = said(signed(OPENED, by=ALPHA, parent=picture()), ALPHA)
    assert (silent.state, silent.origin.kind, silent.origin.evidence) == (
        "trusted", "unknown", "none",
    )  # fmt: skip
    assert [parent.startswith("xmp") for parent in silent.origin.parents] == [True]
    scanned = said(signed(OPENED | stated("c2pa.opened", "print"), by=ALPHA, parent=picture()))
    assert (scanned.origin.kind, scanned.origin.evidence) == ("human", "declared")


def test_expired_signer_without_a_time_stamp_is_not_believed() -> None:
    late = authority("Late", days_left=1.5 / 86_400)  # the library signs with no expired one
    made = signed(CAPTURED, by=late)
    found, end = said(made, late), time.monotonic() + 10
    assert found.state == "trusted"
    while found.state == "trusted" and time.monotonic() < end:
        time.sleep(0.2)
        found = said(made, late)
    assert (found.state, found.origin.kind) == ("invalid", "unknown")
    assert "signingCredential.expired" in found.failures


def test_stripped_credentials_say_nothing_of_the_origin(generated: bytes) -> None:
    out = io.BytesIO()
    Image.open(io.BytesIO(generated)).save(out, "JPEG")
    assert said(out.getvalue(), ALPHA) == c2pa_origin.Credentials("picture", "absent")


def test_every_source_type_keeps_its_kind_from_signing_to_the_columns() -> None:
    rows = []
    for code, kind in KIND_OF_SOURCE_TYPE.items():
        base = "http://c2pa.org/digitalsourcetype/" if code.endswith("Data") else IPTC
        action = {"action": "c2pa.created", "digitalSourceType": base + code}
        found = said(signed(action, by=ALPHA), ALPHA)
        assert (found.origin.kind, found.origin.digital_source_type) == (kind, base + code), code
        assert found.origin.evidence == ("none" if kind == "unknown" else "attested")
        rows.append(row_of(found))
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS.items())))
    held = {name: table[name].combine_chunks() for name in COLUMNS if name[:4] != "c2pa"}
    assert {k: v.to_pylist() for k, v in canonical(held).items()} == {
        k: v.to_pylist() for k, v in held.items()
    }


def test_no_altered_byte_changes_what_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = signed(CAPTURED, by=ALPHA)
    rng = np.random.default_rng(5)
    # Most of the file is zeros, kept free for a longer signature, and signed by nobody.
    told = np.flatnonzero(np.frombuffer(made, np.uint8))
    word = made.index(b"digitalCapture")
    positions = [*rng.choice(told, 150, replace=False).tolist(), word, word + 7]
    assert check_that_no_alteration_is_believed(made, positions, ALPHA.root) > 75

    def lax(store: Any, *, anchored: bool) -> c2pa_status.Verdicts:
        return c2pa_status.Verdicts("trusted", (), {}, frozenset((store["active_manifest"],)))

    monkeypatch.setattr(c2pa_origin, "verdicts_of", lax)
    with pytest.raises(AssertionError):
        check_that_no_alteration_is_believed(made, positions, ALPHA.root)


def test_mutated_files_raise_nothing_but_credential_errors(generated: bytes) -> None:
    rng = np.random.default_rng(6)
    outcomes = set()
    with CredentialReader() as reader:
        for form in ("JPEG", "PNG", "AVIF"):
            whole = generated if form == "JPEG" else signed(CAPTURED, by=ALPHA, form=form)
            for _ in range(80):
                data = bytearray(whole)
                for at in rng.integers(0, len(data), rng.integers(1, 20)):
                    data[at] = rng.integers(256)
                end = len(data) if rng.random() < 0.5 else int(rng.integers(len(data)))
                try:
                    outcomes.add(reader.read(bytes(data[:end])).state)
                except CredentialError:
                    outcomes.add("refused")
    assert {"invalid", "refused"} <= outcomes


def test_mining_permission_is_an_opt_out_signal_even_when_spoiled(generated: bytes) -> None:
    values = [json.loads(line)["value"] for line in said(generated).opt_out]
    assert values == ["cawg.ai_generative_training=notAllowed", "cawg.data_mining=allowed"]
    spoiled = said(alter(generated, picture()))
    assert spoiled.state == "invalid"
    assert [denies(line) for line in spoiled.opt_out] == [True]  # a forged permission is dropped


def test_refusal_in_an_ingredient_reaches_the_composite(photo: bytes, generated: bytes) -> None:
    made = signed(OPENED, PLACED, by=ALPHA, parent=photo, component=generated)
    [refusal] = [line for line in said(made).opt_out if denies(line)]
    assert json.loads(refusal)["at"] == f"picture#{said(generated).manifest}"

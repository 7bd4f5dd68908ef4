"""Content credentials of hostile stores, files, folders and servers, and the command."""

from __future__ import annotations

import http.server
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

c2pa = pytest.importorskip("c2pa")

from credential_cases import (  # noqa: E402
    CAPTURED,
    GENERATED,
    MINING,
    OPENED,
    alter,
    authority,
    manifest_of,
    picture,
    said,
    signed,
    stated,
    store_of,
)
from standards_cases import JSON  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from tailguard.cli import credentials as command  # noqa: E402
from tailguard.corpus import Quarantine, open_corpus  # noqa: E402
from tailguard.corpus.origin import IPTC  # noqa: E402
from tailguard.errors import CorpusError, InputError  # noqa: E402
from tailguard.provenance.standards.c2pa import (  # noqa: E402
    OFFLINE,
    CredentialReader,
    images_in,
    read_anchors,
)
from tailguard.provenance.standards.c2pa_columns import read_origins, row_of  # noqa: E402
from tailguard.provenance.standards.c2pa_origin import credentials_of  # noqa: E402
from tailguard.provenance.standards.opt_out import denies  # noqa: E402

ALPHA, BETA = authority("Alpha"), authority("Beta")


def test_permission_that_is_not_believed_grants_nothing() -> None:
    made = manifest_of(stated("c2pa.created", "digitalCapture"))
    made["assertions"].append(MINING | {"label": "c2pa.training-mining__1"})
    one = credentials_of(store_of(made), anchored=False)
    assert [denies(line) for line in one.opt_out] == [True, False]
    none = credentials_of(store_of(made, state="Odd"), anchored=False)
    assert (none.state, [denies(line) for line in none.opt_out]) == ("invalid", [True])
    outer = manifest_of(OPENED, parentOf="m1")
    outer["ingredients"][0]["validation_status"] = [{"code": "assertion.dataHash.mismatch"}]
    below = credentials_of(store_of(outer, made), anchored=False)
    assert (below.state, [denies(line) for line in below.opt_out]) == ("valid", [True])


@pytest.mark.parametrize(
    ("base", "edit", "kind"),
    [
        ("digitalCapture", "humanEdits", "human"),
        ("digitalCapture", "algorithmicallyEnhanced", "human"),
        ("digitalCapture", "compositeWithTrainedAlgorithmicMedia", "mixed"),
        ("digitalCapture", "trainedAlgorithmicMedia", "mixed"),
        ("digitalCapture", "screenCapture", "unknown"),
        ("trainedAlgorithmicMedia", "humanEdits", "synthetic"),
        ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "synthetic"),
        ("trainedAlgorithmicMedia", "digitalCreation", "mixed"),
        ("screenCapture", "humanEdits", "unknown"),
        ("screenCapture", "trainedAlgorithmicMedia", "mixed"),
        ("empty", "trainedAlgorithmicMedia", "synthetic"),
    ],
)
def test_edits_add_their_parts_to_what_is_there(base: str, edit: str, kind: str) -> None:
    began = manifest_of(stated("c2pa.created", base))
    changed = manifest_of(stated("c2pa.edited", edit), parentOf="m1")
    one = credentials_of(store_of(changed, began), anchored=False)
    assert one.origin.kind == kind
    same = manifest_of(stated("c2pa.created", base), stated("c2pa.edited", edit))
    assert credentials_of(store_of(same), anchored=False).origin.kind == kind


def test_older_files_that_only_have_metadata_are_understood() -> None:
    told = {"label": "stds.iptc", "data": {"Iptc4xmpExt:DigitalSourceType": IPTC + "negativeFilm"}}
    work = {
        "label": "stds.schema-org.CreativeWork",
        "data": {"author": [{"name": "Ada"}, {"name": "Bo"}], "license": "https://example.org/by"},
    }
    store = store_of({"assertions": [told, work], "claim_generator": "Old/1.0"})
    found = credentials_of(store, anchored=False)
    assert (found.origin.kind, found.origin.creator) == ("human", "Ada; Bo")
    assert (found.origin.license, found.claim_generator) == ("https://example.org/by", "Old/1.0")


def test_prompt_pictures_are_parents_but_no_part_of_the_result() -> None:
    made = manifest_of(stated("c2pa.created", "trainedAlgorithmicMedia"), inputTo="m1")
    photo = manifest_of(stated("c2pa.created", "digitalCapture"))
    origin = credentials_of(store_of(made, photo), anchored=False).origin
    assert (origin.kind, origin.parents) == ("synthetic", ("m1",))


def test_circles_depths_and_gaps_among_ingredients_are_unknown() -> None:
    made = stated("c2pa.created", "digitalCapture")
    circle = store_of(manifest_of(made, parentOf="m1"), manifest_of(made, componentOf="m0"))
    deep = [manifest_of(OPENED, parentOf=f"m{i + 1}") for i in range(40)]
    gap = store_of(manifest_of(made, parentOf="nowhere"))
    # Every manifest names the next one twice: read once each, or never finished.
    broad = [manifest_of(parentOf=f"m{i + 1}", componentOf=f"m{i + 1}") for i in range(30)]
    for store, note in (
        (circle, "circle"), (store_of(*deep, manifest_of(made)), "more ingredients"),
        (gap, "not there"), (store_of(*broad, manifest_of()), "how its picture began"),
    ):  # fmt: skip
        found = credentials_of(store, anchored=False)
        assert found.origin.kind == "unknown"
        assert any(note in line for line in found.notes), (note, found.notes)
    shallow = store_of(*deep[:9], manifest_of(made))
    assert credentials_of(shallow, anchored=False).origin.kind == "human"


def _judged(
    recorded: dict[str, Any], delta: dict[str, Any], state: str = "Trusted", anchored: bool = True
) -> Any:
    """A trusted file with one ingredient, and what was recorded and found of that."""
    outer = manifest_of(OPENED, parentOf="m1")
    outer["ingredients"][0]["validation_results"] = {"activeManifest": recorded}
    store = store_of(outer, manifest_of(stated("c2pa.created", "digitalCapture")), state=state)
    trusted = {"code": "signingCredential.trusted", "url": "self#jumbf=/c2pa/m0/c2pa.signature"}
    store["validation_results"] = {
        "activeManifest": {"success": [trusted], "failure": []},
        "ingredientDeltas": [{"validationDeltas": delta}],
    }
    return credentials_of(store, anchored=anchored)


def test_recorded_trust_holds_only_while_nothing_contradicts_it() -> None:
    url = "self#jumbf=/c2pa/m1/c2pa.signature"
    yes = [{"code": "signingCredential.trusted", "url": url}]
    no = [{"code": "signingCredential.untrusted", "url": url}]
    assert _judged({"success": yes}, {}).origin.evidence == "attested"
    assert _judged({"failure": no}, {"success": yes}).origin.evidence == "attested"
    assert _judged({"success": yes}, {"failure": no}).origin.evidence == "declared"
    # A forger records both, and so the difference shows nothing.
    for heading in ("failure", "informational"):
        assert _judged({"success": yes, heading: no}, {}).origin.evidence == "declared"
    assert _judged({"success": yes + no}, {}).origin.evidence == "declared"
    assert _judged({}, {}).origin.evidence == "declared"
    unasked = _judged({"success": yes}, {}, anchored=False)
    assert (unasked.state, unasked.origin.evidence) == ("valid", "declared")


def test_failure_recorded_under_another_heading_still_counts() -> None:
    bad = [{"code": "assertion.dataHash.mismatch", "url": "self#jumbf=c2pa.assertions/x"}]
    for heading in ("success", "informational", "failure"):
        found = _judged({heading: bad}, {})
        assert (found.state, found.origin.kind) == ("trusted", "unknown"), heading
    for code in ("signingCredential.ocsp.skipped", "timeStamp.mismatch"):
        told = [{"code": code, "url": "self#jumbf=x"}]
        assert _judged({"informational": told}, {}).origin.kind == "human", code


def test_failure_of_no_manifest_that_can_be_told_spoils_the_file() -> None:
    strange = [{"code": "assertion.hashedURI.mismatch", "url": "elsewhere"}]
    assert _judged({}, {"failure": strange}).state == "invalid"
    assert _judged({}, {}).state == "trusted"
    assert _judged({}, {}, state="Wonderful").state == "invalid"


@settings(max_examples=60, deadline=None)
@given(JSON, JSON, st.sampled_from(["Valid", "Trusted", "Invalid", None]))
def test_strange_manifest_stores_never_raise_or_become_attested(
    manifest: Any, other: Any, state: str | None
) -> None:
    made = manifest_of(stated("c2pa.created", "digitalCapture"), parentOf="m1")
    for one in (manifest, {"assertions": manifest, "ingredients": other}, made):
        store = store_of(one, other) | {"validation_state": state, "validation_results": other}
        found = credentials_of(store, anchored=True)
        assert found.origin.evidence in ("none", "declared")
        assert state is None or state == "Invalid" or found.state != "absent"
        row_of(found)
    assert credentials_of(manifest, anchored=True).origin.kind == "unknown"


def test_remote_manifests_are_never_fetched_from_anywhere() -> None:
    asked: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = signed(CAPTURED, by=ALPHA, remote=f"http://127.0.0.1:{server.server_port}/a.c2pa")
        found = said(made, ALPHA)
        assert asked == [] and found.state == "absent"
        assert found.notes == ("the credentials are kept elsewhere: not fetched",)
        for part in ("verify", "core"):  # either half of the settings is enough
            with c2pa.Context.from_dict({part: OFFLINE[part]}) as context:
                with pytest.raises(c2pa.C2paError):
                    c2pa.Reader("image/jpeg", io.BytesIO(made), context=context)
                assert asked == [], part
        with pytest.raises(c2pa.C2paError):  # left to itself, the library asks
            c2pa.Reader("image/jpeg", io.BytesIO(made))
        assert asked == ["/a.c2pa"]
        server.shutdown()


def _hostile(folder: Path, good: bytes) -> Path:
    """A folder of what can be met: a good file, a misnamed, a plain one, and hostile ones."""
    inside = folder / "images"
    inside.mkdir()
    (folder / "secret.jpg").write_bytes(good)
    (inside / "a_good.jpg").write_bytes(good)
    (inside / "b_misnamed.png").write_bytes(good)
    (inside / "c_plain.png").write_bytes(picture(form="PNG"))
    (inside / "d_spoiled.jpg").write_bytes(alter(good, picture()))
    (inside / "e_empty.jpg").touch()
    (inside / "f_cut.jpg").write_bytes(good[:700])
    (inside / "g_text.jpg").write_text("not a picture")
    (inside / "h_link.jpg").symlink_to(folder / "secret.jpg")
    (inside / "h_nowhere.jpg").symlink_to(inside / "nothing.jpg")
    (inside / "h_folder").symlink_to(folder)
    (inside / os.fsdecode(b"k_\xff.jpg")).write_bytes(good)
    with (inside / "i_long.png").open("wb") as file:
        file.write(picture(form="PNG"))
        file.truncate((64 << 20) + 1)
    jumbf = b"\xff\xeb\xff\xffJP\0\1\0\0\0\1\xff\xff\xff\xffjumb" + b"\0" * 65_517
    (inside / "j_jumbf.jpg").write_bytes(good[:2] + jumbf + good[2:])
    (inside / ".hidden.jpg").write_bytes(good)
    return inside


def test_hostile_folder_gives_a_line_for_each_bad_file_and_reads_the_rest(
    tmp_path: Path,
) -> None:
    folder = _hostile(tmp_path, signed(CAPTURED, by=ALPHA))
    out = tmp_path / "origins.parquet"
    bad = Quarantine()
    tally = read_origins([str(folder)], anchors=ALPHA.root, quarantine=bad, output=out, images=True)
    lines = [json.loads(line) for line in bad.kept]
    assert [line["file"][0] for line in lines] == list("hhhefgik")
    assert lines[-1]["reason"] == "a name that is no text"
    assert tally.images == 5
    assert tally.state == {"trusted": 2, "absent": 1, "invalid": 2}
    assert tally.failures == {"assertion.dataHash.mismatch": 2}

    rows = pq.read_table(out).to_pylist()
    assert [row["id"][0] for row in rows] == list("abcdj")
    assert rows[3]["c2pa_failures"] == ["assertion.dataHash.mismatch"]
    # Read as a corpus, nothing that was not believed comes back by way of another column.
    corpus = open_corpus(str(out))
    assert corpus.modality == "image"
    read = [row for batch in corpus.batches() for row in batch.to_pylist()]
    kinds = [(row["kind"], row["generation"], row["evidence"]) for row in read]
    assert kinds == [("human", 0, "attested")] * 2 + [("unknown", None, "none")] * 3


def test_names_are_those_of_the_image_folder_corpus(tmp_path: Path) -> None:
    for name in ("x/one.jpg", "x/y/two[1].jpg", "three.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture())
    batches = open_corpus(str(tmp_path)).batches()
    ids = [one for batch in batches for one in batch.column("id").to_pylist()]
    bad = Quarantine()
    assert [file.name for file in images_in([str(tmp_path)], bad)] == ids and not bad.total
    (tmp_path / "x/link.jpg").symlink_to(tmp_path / "three.jpg")
    found = images_in([f"{tmp_path}/x/*.jpg"], bad)
    assert [file.name for file in found] == ["one.jpg"] and bad.total == 1


def test_nothing_to_read_is_one_clear_line_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        read_origins([str(tmp_path)], quarantine=Quarantine())
    (tmp_path / "a.jpg").write_text("no")
    with pytest.raises(CorpusError):
        read_origins([str(tmp_path)], quarantine=Quarantine(), output=tmp_path / "o.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_anchors_are_certificates_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "trust.pem"
    file.write_text(f"notes\n{ALPHA.root}-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"
                    f"-----END PRIVATE KEY-----\n{BETA.root}")  # fmt: skip
    assert read_anchors([file]) == ALPHA.root + BETA.root
    file.write_text("no certificate")
    with pytest.raises(InputError, match="PEM"):
        read_anchors([file])
    with pytest.raises(InputError, match=r"nothing there"):
        read_anchors([tmp_path / "nowhere.pem"])
    with pytest.raises(InputError, match="PEM"):
        CredentialReader("garbage")


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for absent in (None, object()):  # not there, and a version without Context
        monkeypatch.setitem(sys.modules, "c2pa", absent)
        with pytest.raises(InputError, match=r"pip install -U 'tailguard\[c2pa\]'"):
            CredentialReader()


def test_library_is_not_loaded_before_an_image_is_read() -> None:
    code = (
        "import sys; from tailguard.cli import credentials;"
        "from tailguard.provenance.standards import c2pa_columns; print('c2pa' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_command_writes_origins_and_prints_counts(tmp_path: Path) -> None:
    generated = signed(GENERATED, by=ALPHA, assertions=(MINING,))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(generated)
    (tmp_path / "in" / "b.txt").write_text("words")
    (tmp_path / "trust.pem").write_text(ALPHA.root)
    app = typer.Typer()
    app.callback()(lambda: None)
    command.add_commands(app)
    given = ["credentials", str(tmp_path / "in"), "--trust", str(tmp_path / "trust.pem")]
    out = tmp_path / "o.parquet"
    done = CliRunner().invoke(app, [*given, "-o", str(out), "--json"])
    told = json.loads(done.stdout)
    assert (told["kind"], told["evidence"]) == ({"synthetic": 1}, {"attested": 1})
    assert (told["refusing"], sum(told["quarantined"].values())) == (1, 1)
    assert pq.read_table(out).to_pylist()[0]["generator"] == "Imagen@3"
    plain = CliRunner().invoke(app, given)
    assert plain.exit_code == 0 and "kind: synthetic 1" in plain.stdout
    strange = json.loads(CliRunner().invoke(app, [*given[:2], "--json"]).stdout)
    assert (strange["state"], strange["evidence"]) == ({"valid": 1}, {"declared": 1})
    assert strange["failures"] == {}  # not to know a signer is no failure of the credentials

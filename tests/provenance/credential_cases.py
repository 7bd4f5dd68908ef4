"""Signed pictures for the tests of content credentials: authorities, signers, and what they say."""

from __future__ import annotations

import datetime as dt
import io
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from tailguard.corpus.origin import IPTC
from tailguard.provenance.standards.c2pa import OFFLINE, CredentialError, CredentialReader
from tailguard.provenance.standards.c2pa_origin import Credentials

MIME = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "GIF": "image/gif",
}
CAPTURED = {"action": "c2pa.created", "digitalSourceType": IPTC + "digitalCapture"}
GENERATED = {
    "action": "c2pa.created",
    "digitalSourceType": IPTC + "trainedAlgorithmicMedia",
    "softwareAgent": {"name": "Imagen", "version": "3"},
    "when": "2026-01-02T03:04:05Z",
}
MINING = {
    "label": "cawg.training-mining",
    "data": {
        "entries": {
            "cawg.ai_generative_training": {"use": "notAllowed"},
            "cawg.data_mining": {"use": "allowed"},
        }
    },
}
OPENED = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["parentOf"]}}
PLACED = {"action": "c2pa.placed", "parameters": {"ingredientIds": ["componentOf"]}}


@dataclass(frozen=True)
class Authority:
    """A root certificate (PEM), a chain for one signer, and the signer's key."""

    root: str
    chain: str
    key: ec.EllipticCurvePrivateKey

    def sign(self, data: bytes) -> bytes:
        """An ES256 signature as COSE has it: r and s, 32 bytes each."""
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _names(organisation: str) -> x509.Name:
    kinds = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    return x509.Name([x509.NameAttribute(kind, organisation) for kind in kinds])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, not signs, not signs, False, False)


@cache
def authority(name: str, days_left: float = 9.0, serial: int = 0) -> Authority:
    """A certificate authority and a signer under it, in C2PA's profile; ``serial`` tells apart
    authorities of one name."""
    now = dt.datetime.now(dt.UTC)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    certificates = []
    for subject, public, ends in ((name, root_key, 10.0), (f"{name} Studio", key, days_left)):
        leaf = public is key
        made = (
            x509.CertificateBuilder(_names(name), _names(subject), public.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=20))
            .not_valid_after(now + dt.timedelta(days=ends))
            .add_extension(x509.BasicConstraints(not leaf, None), critical=True)
            .add_extension(_usage(signs=leaf), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(public.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
                critical=False,
            )
        )
        if leaf:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            made = made.add_extension(usage, critical=False)
        signed = made.sign(root_key, hashes.SHA256())
        certificates.append(signed.public_bytes(Encoding.PEM).decode())
    root, own = certificates
    return Authority(root, own + root, key)


def picture(shade: int = 90, form: str = "JPEG") -> bytes:
    """A small picture without credentials."""
    out = io.BytesIO()
    gradient = Image.linear_gradient("L").resize((64, 48)).point(lambda v: (v + shade) % 256)
    gradient.convert("RGB").save(out, form)
    return out.getvalue()


def signed(
    *actions: dict[str, Any],
    by: Authority,
    parent: bytes | None = None,
    component: bytes | None = None,
    assertions: tuple[dict[str, Any], ...] = (),
    form: str = "JPEG",
    ingested_under: str = "",
    remote: str = "",
    shade: int = 90,
) -> bytes:
    """A picture with credentials; ingredients are validated under ``ingested_under``."""
    told = {"label": "c2pa.actions.v2", "data": {"actions": list(actions)}}
    manifest = {"claim_generator_info": [{"name": "Editor", "version": "7"}], "title": "picture"}
    settings: dict[str, Any] = {**OFFLINE, "builder": {"thumbnail": {"enabled": False}}}
    if ingested_under:
        settings["trust"] = {"trust_anchors": ingested_under}
    with c2pa.Context.from_dict(settings) as context:
        builder = c2pa.Builder(manifest | {"assertions": [told, *assertions]}, context)
        for relation, data in (("parentOf", parent), ("componentOf", component)):
            if data is not None:
                named = {"title": relation, "relationship": relation, "label": relation}
                builder.add_ingredient(json.dumps(named), MIME[form], io.BytesIO(data))
        if remote:
            builder.set_no_embed()
            builder.set_remote_url(remote)
        signer = c2pa.Signer.from_callback(by.sign, c2pa.C2paSigningAlg.ES256, by.chain)
        out = io.BytesIO()
        builder.sign(signer, MIME[form], io.BytesIO(picture(shade, form)), out)
    return out.getvalue()


def said(data: bytes, *trusted: Authority) -> Credentials:
    """What the credentials in some bytes say to whoever trusts these authorities."""
    with CredentialReader("".join(one.root for one in trusted)) as reader:
        return reader.read(data, "picture")


def alter(data: bytes, original: bytes) -> bytes:
    """The signed picture with one bit of its pixels changed."""
    middle = original[len(original) * 2 // 3 :][:12]
    at = data.rindex(middle) + 4
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def check_that_no_alteration_is_believed(data: bytes, positions: list[int], root: str) -> int:
    """The law: with a byte changed, a file says what it said before, or is not believed.

    Returns how many of the alterations were refused.
    """
    refused = 0
    with CredentialReader(root) as reader:
        before = reader.read(data).origin
        for at in positions:
            changed = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
            try:
                after = reader.read(changed)
            except CredentialError:
                refused += 1
                continue
            if after.origin.evidence == "none":
                assert after.origin.kind == "unknown", at
                refused += 1
            else:
                assert after.origin == before, at
    return refused


def store_of(*manifests: dict[str, Any], state: str = "Valid") -> dict[str, Any]:
    """A manifest store as the library writes it; the first manifest, ``m0``, is the active one."""
    labelled = {f"m{i}": manifest for i, manifest in enumerate(manifests)}
    return {"active_manifest": "m0", "manifests": labelled, "validation_state": state}


def manifest_of(*actions: dict[str, Any], **ingredients: str | None) -> dict[str, Any]:
    """A manifest of some actions, and ingredients: relation to label of their manifest."""
    listed = [
        {"relationship": relation, "active_manifest": label, "instance_id": f"xmp.iid:{relation}"}
        for relation, label in ingredients.items()
    ]
    told = {"label": "c2pa.actions.v2", "data": {"actions": list(actions)}}
    return {"assertions": [told], "ingredients": listed}


def stated(action: str, code: str) -> dict[str, Any]:
    """An action with a digital source type."""
    return {"action": action, "digitalSourceType": IPTC + code}

"""Signing without a key of one's own, through Sigstore (extra: sigstore). It goes over the network.

The bundle that Sigstore makes binds bytes to an identity, such as an address of mail or a workflow,
which a certificate authority checked, and to an entry in a public log. It lies beside the lock, as
``gold.lock.sigstore.json``. Verifying needs no network.
Source: Sigstore bundle format v0.3.
"""

from __future__ import annotations

from pathlib import Path

from tailguard.corpus.atomic import replacing
from tailguard.errors import InputError
from tailguard.provenance.base import SignatureError
from tailguard.provenance.envelope import Envelope, read_bounded

_LONGEST = 1 << 20


def bundle_path(path: str | Path) -> Path:
    """Where the bundle of a file lies.

    >>> bundle_path("gold.lock").name
    'gold.lock.sigstore.json'
    """
    return Path(f"{path}.sigstore.json")


def sign_keyless(signed: Envelope, bundle: str | Path) -> None:
    """Sign an envelope, as the file it is saved as, in the name of whoever this environment
    vouches for, and write the ``bundle``.

    In CI the identity is that of the workflow, elsewhere a browser asks. Raises ``InputError``
    without the extra, :class:`SignatureError` where Sigstore refuses or cannot be reached.
    """
    try:
        from sigstore.errors import Error
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import ExpiredIdentity, IdentityToken, Issuer, detect_credential
        from sigstore.sign import SigningContext
    except ImportError:
        raise _missing() from None
    try:
        config = ClientTrustConfig.production()
        held = detect_credential()
        if held is None:
            token = Issuer(config.signing_config.get_oidc_url()).identity_token()
        else:
            token = IdentityToken(held)
        with SigningContext.from_trust_config(config).signer(token) as signer:
            told = signer.sign_artifact(signed.to_bytes()).to_json()
    except (Error, ExpiredIdentity, OSError, ValueError) as error:
        raise _refused("keyless signing", "Sigstore to sign", error) from None
    with replacing(bundle) as temporary:
        temporary.write_text(told, encoding="utf-8")


def verify_keyless(signed: Envelope, bundle: str | Path, *, identity: str, issuer: str) -> None:
    """Return if the ``bundle`` says that ``identity`` signed this envelope, as ``issuer`` attests.

    Raises :class:`SignatureError` otherwise, and ``InputError`` without the extra.
    """
    told = read_bounded(bundle, _LONGEST)
    try:
        from sigstore.errors import Error
        from sigstore.models import Bundle
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity
    except ImportError:
        raise _missing() from None
    try:
        held = Bundle.from_json(told)
        policy = Identity(identity=identity, issuer=issuer)
        Verifier.production(offline=True).verify_artifact(signed.to_bytes(), held, policy)
    except (Error, OSError, ValueError) as error:
        raise _refused(str(bundle), f"a signature of {identity}", error) from None


def _missing() -> InputError:
    return InputError(
        "keyless signing", "the extra 'sigstore'", "an installation without it",
        "pip install 'tailguard[sigstore]'",
    )  # fmt: skip


def _refused(who: str, expected: str, error: Exception) -> SignatureError:
    reason = str(error)[:200] or type(error).__name__
    return SignatureError(who, expected, f"an error ({reason})", "check identity and network")

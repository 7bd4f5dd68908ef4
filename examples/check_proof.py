"""Check a ledger's proof with its public key, without Tailguard and without the data.

    python examples/check_proof.py proof.json ledger.pub

Needs Python and the package `cryptography`. What the fields mean: docs/provenance-ledger.md.
"""

import json
import sys
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DATA = "urn:tailguard:ledger/data-registered/v1"
ABOUT = {"record": DATA, "no-record": DATA, "no-name": "urn:tailguard:ledger/inventory/v1"}


def need(holds, what):
    if not holds:
        sys.exit(f"does not hold: {what}")


def checkpoint(note, vkey):
    """Size and root of a signed note: origin, size, root; empty line; signature lines."""
    name, mark, key = vkey.strip().split("+", 2)
    key = b64decode(key)
    need(key[:1] == b"\x01" and sha256(f"{name}\n".encode() + key).hexdigest()[:8] == mark, "key")
    text, signatures = note.rsplit("\n\n", 1)
    lines = [line.split(" ") for line in signatures.split("\n")]
    signed = [b64decode(line[2]) for line in lines if line[:2] == ["—", name]]
    signed = [raw[4:] for raw in signed if raw[:4].hex() == mark]
    need(len(signed) == 1, "a signature by this key")
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(signed[0], f"{text}\n".encode())  # or raises
    need(text.startswith(f"{name}\n"), "a checkpoint of this log")
    return int(text.split("\n")[1]), b64decode(text.split("\n")[2])


def climb(start, index, last, path):
    """The roots a path leads to, of the old tree and the new (RFC 9162, 2.1.3 and 2.1.4)."""
    old = new = start
    for other in map(bytes.fromhex, path):
        need(last > 0, "a path of this length")
        if index & 1 or index == last:
            old, new = (sha256(b"\x01" + other + below).digest() for below in (old, new))
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            new = sha256(b"\x01" + new + other).digest()
        index, last = index >> 1, last >> 1
    need(last == 0, "a path of this length")
    return old, new


def in_map(told, key, root):
    """The value of a key in the map under a root; None if the proof says that it is not there."""
    path, bits = [bytes.fromhex(one) for one in told["path"]], f"{int.from_bytes(key):0256b}"
    other, value, here = b"", 0, bytes(32)
    if told["found"]:
        other, value = bytes.fromhex(told["found"][0]), told["found"][1]
        here = sha256(b"\x02" + other + value.to_bytes(8)).digest()
        fits = f"{int.from_bytes(other):0256b}"[: len(path)] == bits[: len(path)]
        need(fits and len(other) == 32, "a key in this place")
    for bit, beside in zip(reversed(bits[: len(path)]), reversed(path), strict=True):
        here = sha256(b"\x03" + (beside + here if bit == "1" else here + beside)).digest()
    need(len(key) == 32 and here.hex() == root, "a path to the root of the map")
    return value if other == key else None


def check(proof, vkey):
    size, root = checkpoint(proof["checkpoint"], vkey)
    claim, kind = proof["claim"], proof["claim"]["kind"]
    if kind == "grown":
        (old, old_root), path = checkpoint(proof["older"], vkey), proof["path"]
        if 0 < old < size:
            path = path if old & (old - 1) else [old_root.hex(), *path]
            skip = (old & -old).bit_length() - 1  # the largest complete subtree that ends the old
            found = climb(bytes.fromhex(path[0]), old - 1 >> skip, size - 1 >> skip, path[1:])
        else:
            found = (old_root, old_root) if old else (old_root, root)
        need(old <= size and found == (old_root, root), "growth")
        return f"the first {old} of {size} entries are unchanged"
    data, index, path = (proof["entry"][field] for field in ("data", "index", "path"))
    leaf = sha256(b"\x00" + b64decode(data)).digest()
    need(0 <= index < size and climb(leaf, index, size - 1, path)[1] == root, "inclusion")
    said = json.loads(b64decode(data))  # a statement, or an envelope around it
    said = json.loads(b64decode(said["payload"])) if "payload" in said else said
    if kind != "entry":
        need(ABOUT.get(kind) == said["predicateType"], "an entry of this kind")
        name = sha256(claim.get("name", "").encode()).digest()
        key = name if kind == "no-name" else bytes.fromhex(claim["record"])
        told = said["predicate"]["map" if kind == "no-name" else "record_map"]["root"]
        need((in_map(proof["map"], key, told) is None) == (kind != "record"), claim)
    return f"{json.dumps(claim)} in entry {index} of {size}: {json.dumps(said)}"


if __name__ == "__main__":
    proof, public_key = (Path(name).read_text() for name in sys.argv[1:3])
    print("holds:", check(json.loads(proof), public_key))

"""Decentralized identifiers (W3C DID Core 1.0) of a network's members, and their documents.

    did:ledger:<network id in hexadecimal>:<the member's name, percent-encoded>

The method name `ledger` is not registered with the W3C.  A document follows from what the state
holds of the member, so that whoever checks the state proof has checked the document.  Keys are JSON
Web Keys (Ed25519: RFC 8037, ML-DSA-44: RFC 9964), in the form of Controlled Identifiers 1.0.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from urllib.parse import quote, unquote

from ledger.applications.identity_state import MemberRow, parse_key, parse_member
from ledger.errors import Fault
from ledger.keys import short_key
from ledger.limits import ML_DSA_44_KEY_BYTES

METHOD = "did:ledger:"
CONTEXTS = ("https://www.w3.org/ns/did/v1", "https://w3id.org/security/jwk/v1")


def did_of(network: bytes, name: str) -> str:
    """The identifier of a member, who need not be one any more."""
    # A tilde is unreserved in a URI (RFC 3986) and yet no character of an identifier.
    return f"{METHOD}{network.hex()}:{quote(name, safe='').replace('~', '%7E')}"


def parse_did(text: str) -> tuple[bytes, str]:
    """(network id, name) of an identifier.  Raises Fault("did.malformed")."""
    network, colon, name = text.removeprefix(METHOD).partition(":")
    try:
        found = bytes.fromhex(network), unquote(name, errors="strict")
    except ValueError:
        raise Fault("did.malformed", f"not of the form {METHOD}NETWORK:NAME") from None
    if not (text.startswith(METHOD) and colon and name) or did_of(*found) != text:
        raise Fault("did.malformed", f"not of the form {METHOD}NETWORK:NAME")
    return found


def document(network: bytes, name: str, row: MemberRow) -> dict[str, object]:
    """The DID document of a member: its one key in use, or none where it has none."""
    did = did_of(network, name)
    made: dict[str, object] = {"@context": list(CONTEXTS), "id": did}
    if row.key:
        # A fragment that changes with the key: what names it means this key for ever.
        method = f"{did}#{short_key(row.key).hex()[:16]}"
        made["verificationMethod"] = [
            {
                "id": method,
                "type": "JsonWebKey",
                "controller": did,
                "publicKeyJwk": web_key(row.key),
            }
        ]
        made["authentication"] = made["assertionMethod"] = [method]
    return made


def web_key(public_key: bytes) -> dict[str, str]:
    """A public key as a JSON Web Key; its size says of which scheme it is."""
    raw = urlsafe_b64encode(public_key).rstrip(b"=").decode()
    if len(public_key) == ML_DSA_44_KEY_BYTES:
        return {"kty": "AKP", "alg": "ML-DSA-44", "pub": raw}
    return {"kty": "OKP", "crv": "Ed25519", "x": raw}


def member_facts(network: bytes, name: str, value: bytes | None) -> dict[str, object]:
    """What a value of the state says of a member; None proves that nobody was ever called so."""
    facts: dict[str, object] = {"member": name, "did": did_of(network, name)}
    if value is None:
        return facts | {"absent": "nobody has ever been a member under this name"}
    row = parse_member(value)
    return facts | {
        "key": row.key.hex() or "none in use",
        "roles": list(row.roles),
        "status": "member" if row.roles else "removed",
        "changes": row.version,
        "changed_at": row.height,
        "document": document(network, name, row),
    }


def key_facts(public_key: bytes, value: bytes | None) -> dict[str, object]:
    """What a value of the state says of a short key; None proves that it was never a member's."""
    facts: dict[str, object] = {"key": public_key.hex()}
    if value is None:
        return facts | {"absent": "it has never been a member's"}
    row = parse_key(value)
    facts |= {"member": row.name, "use": row.use.name.lower().replace("_", " ")}
    return facts | {"since": row.since} | ({"until": row.until} if row.until else {})

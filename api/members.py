"""What the API says of members: lists, and DID resolution.  A node's word: proofs are under /state.

Source of the resolution result: W3C DID Resolution, "DID Resolution Result".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from api.limits import ROWS_A_PAGE
from ledger import did as identifiers
from ledger import layout
from ledger.applications.identity import Identity
from ledger.applications.identity_body import NAME
from ledger.applications.identity_state import ADMINISTRATORS, MemberRow, Register, parse_proposal
from ledger.applications.interface import StateReader
from ledger.errors import Fault
from ledger.genesis import Genesis
from ledger.store import Reader, prefix_stop


def members(reader: Reader, genesis: Genesis, *, offset: int, limit: int) -> dict[str, Any]:
    """Members by name, those removed included, and every open proposal.

    Raises Fault("identity.none") where the network does not run identity.
    """
    state = _state(reader, genesis)
    register = Register(state)
    keys = state.keys(b"m", prefix_stop(b"m"))
    rows = []
    for key in keys[offset:][: min(limit, ROWS_A_PAGE)]:
        rows.append(identifiers.member_facts(genesis.network, key[1:].decode(), state.get(key)))
    known = Identity(genesis)
    proposals: list[dict[str, Any]] = []
    for key in state.keys(b"p", prefix_stop(b"p"))[:ROWS_A_PAGE]:
        raw = state.get(key)
        assert raw is not None, "a key that was just read"
        proposals.append({"id": key[1:].hex(), **known.proposal_facts(parse_proposal(raw))})
    return {
        "total": len(keys),
        "members": rows,
        "administrators": [key.hex() for key in register.administrators()],
        "approvals": genesis.approvals,
        "proposals": proposals,
    }


def resolve(reader: Reader, genesis: Genesis, did: str) -> dict[str, Any]:
    """The DID resolution result.  Raises Fault("identity.none")."""
    register = Register(_state(reader, genesis))
    try:
        network, name = identifiers.parse_did(did)
    except Fault as fault:
        return _failed("invalidDid", str(fault))
    row = register.member(name) if network == genesis.network else None
    if row is None:
        return _failed("notFound", "this network has no such member")
    return resolution(network, name, row)


def resolution(network: bytes, name: str, row: MemberRow) -> dict[str, Any]:
    """The DID resolution result of what the state holds of a member."""
    metadata: dict[str, Any] = {"versionId": str(row.version), "deactivated": not row.roles}
    if row.height:
        time = datetime.fromtimestamp(row.timestamp_ms // 1_000, UTC)
        metadata["updated"] = time.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "didDocument": identifiers.document(network, name, row),
        "didDocumentMetadata": metadata,
        "didResolutionMetadata": {"contentType": "application/did+json"},
    }


def _failed(error: str, message: str) -> dict[str, Any]:
    metadata = {"error": error, "errorMessage": message}
    return {
        "didDocument": None,
        "didDocumentMetadata": {},
        "didResolutionMetadata": metadata,
    }


class _Founders:
    """The state as the first block will find it, while there is none."""

    def __init__(self, genesis: Genesis) -> None:
        self._values: dict[bytes, bytes | None] = {}
        Identity(genesis).begin(self)

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        self._values[key] = value

    def keys(self, start: bytes, stop: bytes) -> list[bytes]:
        return sorted(key for key in self._values if start <= key < stop)


def _state(reader: Reader, genesis: Genesis) -> StateReader | _Founders:
    if NAME not in dict(genesis.applications):
        raise Fault("identity.none", "this network does not run the application identity")
    state = StateReader(reader, layout.state_key(NAME, b""))
    return state if state.get(ADMINISTRATORS) is not None else _Founders(genesis)

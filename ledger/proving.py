"""How a node makes state proofs from its store; what they prove is judged by `ledger.light`."""

from __future__ import annotations

from ledger import authenticated, merkle
from ledger.block import StateHashKind
from ledger.errors import Fault
from ledger.genesis import Genesis
from ledger.layout import state_key
from ledger.queries import block, certificate_at_or_above, certified_height, head, tile_source
from ledger.state_proof import KEY_BYTES_MAX, StateProof
from ledger.state_tree import Tree, path_of
from ledger.store import Reader


def prove_state(reader: Reader, genesis: Genesis, application: str, key: bytes) -> bytes:
    """The proof of this key's value, or its absence, under the latest certificate.

    Raises Fault: "state.not-in-tree" where the application has no authenticated keys,
    "state.uncertified" before the first certificate, "state.too-old" where execution has gone too
    far beyond the certificate, "state.key" for a key that is too long.
    """
    if len(key) > KEY_BYTES_MAX:
        raise Fault("state.key", f"{len(key)} bytes, {KEY_BYTES_MAX} allowed")
    height = certified_height(reader)
    certificate = certificate_at_or_above(reader, genesis, height) if height else None
    found = block(reader, height) if certificate else None
    if certificate is None or found is None:
        raise Fault("state.uncertified", "nothing is certified here yet")
    if found.outcome.state_hash_kind != StateHashKind.TREE:
        raise Fault("state.not-in-tree", "no application of this network has keys in the tree")
    past = authenticated.at_height(reader, head(reader, genesis).height, height)
    if application not in past.names:
        raise Fault("state.not-in-tree", f"the tree holds keys of {', '.join(past.names)}")
    path = path_of(application, key)
    shown = Tree(past.reader.get).path(path)
    value = past.reader.get(state_key(application, key))
    is_there = shown.end is not None and shown.end[0] == path
    assert is_there == (value is not None), "the tree holds exactly the keys of the state"
    tiles = merkle.TileReader(tile_source(reader), certificate.size)
    return StateProof(
        application=application,
        key=key,
        path=path,
        value=value,
        running=past.running,
        names=past.names,
        siblings=shown.siblings,
        other=None if is_there else shown.end,
        leaf=found.outcome.encode(),
        log_path=merkle.inclusion_path(certificate.size - 1, certificate.size, tiles.hash_at),
        certificate=certificate.note,
    ).encode()

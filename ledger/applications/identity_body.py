"""Bodies of the application `identity`: what each act says, and the rules that need no state.

body    (act, name, key, roles, proposal, possession)      what an act does not use is empty
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from ledger import encoding
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.genesis import ROLES
from ledger.keys import Signer
from ledger.limits import (
    ML_DSA_44_KEY_BYTES,
    ML_DSA_44_SIGNATURE_BYTES,
    NAME_CHARS_MAX,
    PUBLIC_KEY_SIZES,
    SIGNATURE_SIZES,
)
from ledger.transaction import Operation

NAME = "identity"
VERSION = 1
POSSESSION_DOMAIN = b"ledger key possession\x00"
ADMINISTRATOR, SUBMITTER = "administrator", "submitter"
BODY_BYTES_MAX = 4_096
PROPOSAL_BYTES = 32
PLAIN_NAME_CHARS_MAX = 64
_PUNCTUATION = "._-"

name_shape = encoding.text(NAME_CHARS_MAX)
roles_shape = encoding.array(encoding.text(32, low=1), len(ROLES))
_shape = encoding.row(
    encoding.text(16, low=1),
    name_shape,
    encoding.blob(ML_DSA_44_KEY_BYTES),
    roles_shape,
    encoding.blob(PROPOSAL_BYTES),
    encoding.blob(ML_DSA_44_SIGNATURE_BYTES),
)


class Act(StrEnum):
    """What an operation does."""

    ADD = "add"
    REMOVE = "remove"
    ROLES = "roles"
    REPLACE = "replace"
    APPROVE = "approve"
    WITHDRAW = "withdraw"
    ROTATE = "rotate"
    REVOKE = "revoke"


USES: dict[Act, frozenset[str]] = {
    Act.ADD: frozenset(("name", "key", "roles")),
    Act.REMOVE: frozenset(("name",)),
    Act.ROLES: frozenset(("name", "roles")),
    Act.REPLACE: frozenset(("name", "key")),
    Act.APPROVE: frozenset(("proposal",)),
    Act.WITHDRAW: frozenset(("proposal",)),
    Act.ROTATE: frozenset(("key", "possession")),
    Act.REVOKE: frozenset(),
}
"""The parts of a body that each act has; all others are empty."""
CHANGES = (Act.ADD, Act.REMOVE, Act.ROLES, Act.REPLACE)
"""Acts that take effect only with enough approvals."""


class Body(NamedTuple):
    """The body of an operation."""

    act: Act
    name: str = ""
    """Whom a change is about."""
    key: bytes = b""
    """The new public key."""
    roles: tuple[str, ...] = ()
    """All roles that the member is to have."""
    proposal: bytes = b""
    """Id of the change that is approved or withdrawn from."""
    possession: bytes = b""
    """Signature by the new key: its holder has it, and wants it to be this member's."""


def make_act(body: Body) -> Operation:
    """The operation.  Raises Fault where the body breaks a rule that needs no state."""
    raw = encode((str(body.act), *body[1:]))
    parse_act(raw)
    return Operation(NAME, VERSION, raw)


def parse_act(raw: bytes) -> Body:
    """The body of these bytes.  Raises DecodeFault, or Fault for roles or a name of no member.

    Whether key and signature have the size of the network's scheme is `Identity.check`'s question.
    """
    fields = encoding.decode(raw, _shape, size_max=BODY_BYTES_MAX, what="identity")
    try:
        body = Body(Act(fields[0]), *fields[1:])
    except ValueError as error:
        raise DecodeFault("identity.act", f"one of {', '.join(Act)}") from error
    lengths = {
        "key": PUBLIC_KEY_SIZES,
        "proposal": frozenset((PROPOSAL_BYTES,)),
        "possession": SIGNATURE_SIZES,
    }
    for part, value in body._asdict().items():
        if part == "act":
            continue
        if bool(value) != (part in USES[body.act]):
            raise DecodeFault("identity.parts", f"{body.act} has {_listed(USES[body.act])}")
        if value and part in lengths and len(value) not in lengths[part]:
            sizes = " or ".join(f"{size:,}" for size in sorted(lengths[part]))
            raise DecodeFault("identity.parts", f"{part} has {sizes} bytes")
    if body.roles:
        require_roles(body.roles)
    if body.act is Act.ADD:
        require_plain_name(body.name)
    return body


def _listed(parts: frozenset[str]) -> str:
    return ", ".join(sorted(parts)) or "no other part"


def possession_message(network: bytes, old: bytes, new: bytes) -> bytes:
    """What the new key signs where it takes the place of the old one."""
    return POSSESSION_DOMAIN + network + old + new


def make_rotation(network: bytes, old: bytes, new: Signer) -> Operation:
    """The operation by which the holder of the old key puts the new one in its place."""
    signature = new.sign(possession_message(network, old, new.public_key))
    return make_act(Body(Act.ROTATE, key=new.public_key, possession=signature))


def proposal_id(transaction: bytes, operation: int) -> bytes:
    """The id of the change that an operation proposes: no other operation makes the same one."""
    return sha256(transaction + operation.to_bytes(2, "big")).digest()


def require_roles(roles: Sequence[str]) -> None:
    """Roles are known, written in one order; who administers must be able to submit."""
    if list(roles) != [role for role in ROLES if role in roles]:
        raise Fault("identity.roles", f"roles are some of {', '.join(ROLES)}, in this order")
    if ADMINISTRATOR in roles and SUBMITTER not in roles:
        raise Fault("identity.roles", "an administrator is a submitter too")


def require_plain_name(name: str) -> None:
    """A new name looks like no other one: letters, digits, dots, hyphens, underscores."""
    plain = name.isascii() and all(c.isalnum() or c in _PUNCTUATION for c in name)
    if not plain or not name[0].isalnum() or len(name) > PLAIN_NAME_CHARS_MAX:
        raise Fault("identity.name", "1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first")

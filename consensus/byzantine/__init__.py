"""Byzantine validators: an honest plugin whose words are changed on their way out.

    liar = attacked(Tendermint, "equivocating+delaying", seed=7)

What a protocol says is generic (messages, certificates, hints), so an attacker is written once for
all of them, and one brought by a third party is attacked like those that are here.
"""

from __future__ import annotations

from consensus.byzantine.amnesiac import Amnesiac
from consensus.byzantine.attacker import Attacker
from consensus.byzantine.delaying import Delaying
from consensus.byzantine.equivocating import Equivocating
from consensus.byzantine.mutating import Mutating
from consensus.byzantine.replaying import Replaying
from consensus.byzantine.selective import Selective
from consensus.byzantine.silent import Silent
from consensus.byzantine.wrapper import attacked_by
from consensus.interface import Consensus
from ledger.errors import UserError

__all__ = ["ATTACKS", "Attacker", "attacked", "attackers_named"]

ATTACKS: dict[str, type[Attacker]] = {
    attacker.name: attacker
    for attacker in (
        Silent,
        Selective,
        Delaying,
        Equivocating,
        Replaying,
        Mutating,
        Amnesiac,
    )
}
"""Every attacker by its name; names joined by "+" are a combination."""


def attackers_named(attack: str) -> tuple[type[Attacker], ...]:
    """The attackers of a combination, in its order.  Raises UserError for an unknown name."""
    for name in attack.split("+"):
        if name not in ATTACKS:
            known = ", ".join(ATTACKS)
            raise UserError(f"there is no attack {name!r}; known are: {known}, joined by +")
    return tuple(ATTACKS[name] for name in attack.split("+"))


def attacked(protocol: type[Consensus], attack: str, seed: int) -> type[Consensus]:
    """The protocol as a Byzantine validator runs it: alike but for what leaves.

    In a combination the first attacker changes what the honest plugin says, the second what the
    first lets leave, and so on.  All chance follows from the seed, the epoch and the validator;
    those who share a seed split the network alike.  Raises UserError for an unknown attack.
    """
    return attacked_by(protocol, attackers_named(attack), seed)

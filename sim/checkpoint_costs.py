"""What certifying a block costs beside what deciding it does, predicted and counted.

The same for all protocols (`consensus/certifier.py`, decision record 0011).  Up to seven validators
everyone signs the log and tells everyone, and each makes the certificate of its own.  Above that
signatures go to three collectors in turn, who send everyone the certificate:

    n <= 7     n (n - 1) signatures
    n > 7      3 (n - 1) signatures, 3 (n - 1) certificates

Exact where links are alike and so fast that the block is certified before anybody asks the others
how far they are: who has no certificate then is sent one, which is a matter of catching up.  So it
is not for lock-step protocols, whose blocks take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.certifier import COLLECTED_ABOVE, COLLECTORS_MAX
from consensus.interface import Consensus
from consensus.io import Channel
from p2p.frames import HEADER_BYTES
from sim.run import Run
from sim.scenario import Load, Scenario, Weather
from sim.sizes import DIGEST_FIELD, NUMBER, SIGNATURE, blob, row

LINKS = Weather(delay_us=5_000, jitter_us=0)
ONE = Load(transactions=1, members=1, unsound=0)
LOG_DIGITS = 1
"""Digits of the log's size behind the first block."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of one kind, over all links."""

    messages: int
    octets: int
    """As payloads of frames."""


@dataclass(frozen=True, slots=True)
class Channels:
    """What whole replicas said from the start until one block was confirmed everywhere."""

    origin_chars: int
    """Of the network's name in its checkpoints."""
    checkpoint: Traffic
    dissemination: Traffic
    sync: Traffic
    """Greetings and catching up."""


def predicted_checkpoint(nodes: int, origin_chars: int) -> Traffic:
    """What certifying the first block takes."""
    links, quorum = nodes - 1, nodes - (nodes - 1) // 3
    # Version, kind, epoch, signer, height and size of the log; then its root.
    signature = row(*(NUMBER,) * 6, DIGEST_FIELD, blob(SIGNATURE))
    if nodes <= COLLECTED_ABOVE:
        return Traffic(nodes * links, nodes * links * signature)
    # Version, kind, epoch and height.
    certificate = row(*(NUMBER,) * 4, blob(_note(origin_chars, quorum)))
    each = COLLECTORS_MAX * links
    return Traffic(2 * each, each * (signature + certificate))


def _note(origin_chars: int, signatures: int) -> int:
    """A C2SP signed note: origin, size, root, an empty line, and a line for each signature."""
    text = (origin_chars + 1) + (LOG_DIGITS + 1) + (_base64(32) + 1) + 1
    line = len("— ".encode()) + origin_chars + 1 + _base64(4 + SIGNATURE) + 1
    return text + signatures * line


def _base64(size: int) -> int:
    return -(-size // 3) * 4


def count_channels(protocol: type[Consensus], nodes: int) -> Channels:
    """Run whole replicas until they have confirmed one transaction."""
    scenario = Scenario(
        1, protocol.name, nodes, weather=LINKS, calm=LINKS, load=ONE, bound_ms=60_000
    )
    run = Run(scenario, protocol)
    report = run.lead()
    assert report.is_passed, report.violations
    assert set(report.certified) == {1}
    traffic = {
        channel: Traffic(
            report.frames[channel.name.lower()],
            report.bytes[channel.name.lower()] - HEADER_BYTES * report.frames[channel.name.lower()],
        )
        for channel in (Channel.CHECKPOINT, Channel.DISSEMINATION, Channel.SYNC)
    }
    return Channels(len(run.genesis.origin), *traffic.values())

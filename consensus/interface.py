"""The plugin contract: how a consensus protocol is exchanged like a plug.

A plugin is one BFT protocol as a pure state machine: one event in, a list of effects out.  It sees
values, signed messages and certificates; never keys, sockets, disks, clocks or threads.  The
replica checks every signature and certificate before the plugin sees it, signs what it says, makes
each step durable in one atomic batch, and sends nothing before that.

Rules that every plugin can rely on, and must keep:

* A broadcast includes ourselves; the own copy arrives, signed, after it is durable.
* At most one value may ever be said per (phase, slot): the guard asserts it.  `said` tells what
  was said, also before a restart.
* `settle(phase, floor)` promises never to say anything below floor in that phase again.
* Accuse an equivocator, but still count what it said: quorums already pay for f liars.
* Every timer retry sends again the own vote *and* the certificate that let this node enter
  the slot.
* An idle ledger is quiet: no timers, no proposals, until `on_pending`; that comes again after
  every decision and certificate, and from time to time, while anything is unordered.
* Where a paper asks for randomness, hash (epoch id, me, slot).
"""

from __future__ import annotations

import hashlib
from abc import ABC, ABCMeta, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from consensus.leaders import Policy
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.encoding import Shape, encode
from ledger.limits import VALIDATORS_MAX
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value

MESSAGE_BYTES_MAX = 512 * 1024
"""An encoded message of a plugin: what is longer, nobody reads."""

AnyCertificate = Certificate | TimeoutCertificate


class Now(NamedTuple):
    """The time of one step."""

    monotonic_ms: int
    """For timers."""
    wall_ms: int
    """Milliseconds since 1970; only stamps values, and begins the slots of lock-step protocols."""


@lru_cache(maxsize=512)
def digest_of(*said: Any) -> bytes:
    """What a statement counts where it says more than a value's digest, in its canonical encoding.

    Everybody asks for the same few, many times each.
    """
    return hashlib.sha256(encode(said)).digest()


class _MessageKind(ABCMeta):
    """No class is registered as a message from outside, so `isinstance` need not look for one,
    which takes an abstract class several times as long."""

    __instancecheck__ = type.__instancecheck__


class Message(metaclass=_MessageKind):
    """One kind of signed message of a protocol: a frozen dataclass with these four words."""

    KIND: ClassVar[int]
    """Number on the wire, unique within the plugin, from 1 to 63."""
    SHAPE: ClassVar[Shape]
    """Shape of `row()` for the strict decoder."""

    @abstractmethod
    def row(self) -> tuple[Any, ...]:
        """The fields in canonical order, built of tuples, integers, bytes, text and None."""

    @classmethod
    @abstractmethod
    def from_row(cls, row: Any) -> Message:
        """The inverse of `row`.  Raises DecodeFault where fields contradict each other."""

    @abstractmethod
    def statement(self) -> tuple[str, Slot, bytes]:
        """(phase, slot, value) that the sender signs: everything safety depends on."""

    def certificates(self) -> tuple[AnyCertificate, ...]:
        """Certificates carried inside, which the replica checks before delivery."""
        return ()

    def values(self) -> tuple[Value, ...]:
        """Values carried inside, which the replica keeps to answer fetches."""
        return ()


@dataclass(frozen=True, slots=True)
class Signed:
    """A message whose signature by `sender` has been checked."""

    sender: int
    message: Message
    signature: bytes


@dataclass(frozen=True, slots=True)
class Root:
    """The decided value that a plugin builds on."""

    value: bytes
    """Digest of the last decided value; empty before the first."""
    slot: Slot
    """Slot of its first proposal; (0,) before the first."""
    height: int
    """Height of the last block; values without payload make none."""


@dataclass(frozen=True, slots=True)
class DecisionProof:
    """Why values are decided, checked by any node of the epoch with the plugin's own rule."""

    certificates: tuple[Certificate, ...]
    values: tuple[Value, ...] = ()
    """Further values the rule looks at, such as the second block of a two-chain."""
    signed: tuple[Signed, ...] = ()
    """Signed messages, where a decision follows from what a quorum said differently, such as the
    blocks of a DAG; checked like certificates.  A proof has certificates or these."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a plugin knows of its surroundings for one epoch."""

    network: bytes
    epoch: bytes
    """Epoch id."""
    me: int | None
    """Own validator index; None for an observer, which follows and never speaks."""
    validators: ValidatorSet
    parameters: Mapping[str, int]
    """The protocol's parameters; every name of the plugin's PARAMETERS is present."""
    slot_window: int
    """How far ahead of the own slot messages are counted."""
    batch_window: int = 256
    """Heights within which a batch must be ordered: what `ordering_lag` is derived from."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was durable when the node stopped."""

    root: Root
    record: bytes | None
    """What the plugin persisted last."""
    sent: tuple[Signed, ...]
    """Own messages at or above the settled floors, oldest first."""


class Timer(NamedTuple):
    """A timer's name; setting a running one again moves it."""

    name: str
    slot: Slot


# --- Events: what happens to a plugin -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """The replica is ready; the first event, also after a restart."""


@dataclass(frozen=True, slots=True)
class Received:
    """A signed message arrived, perhaps our own, perhaps for the second time."""

    signed: Signed


@dataclass(frozen=True, slots=True)
class CertificateReceived:
    """A checked certificate arrived by itself."""

    certificate: AnyCertificate


@dataclass(frozen=True, slots=True)
class TimerFired:
    timer: Timer


@dataclass(frozen=True, slots=True)
class Pending:
    """There is something to order; oldest_age counts certified heights the oldest batch waited."""

    oldest_age: int


@dataclass(frozen=True, slots=True)
class PayloadReady:
    """The answer to `request_payload`; the payload may be empty."""

    slot: Slot
    payload: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to `validate`: valid or never.  "Not yet" is no answer so far."""

    value: Value
    valid: bool


@dataclass(frozen=True, slots=True)
class ValueReceived:
    """The answer to `fetch`: the value with the digest asked for."""

    value: Value


@dataclass(frozen=True, slots=True)
class DecisionReceived:
    """A peer's decision, its certificates checked; the plugin checks its commit rule."""

    values: tuple[Value, ...]
    proof: DecisionProof


@dataclass(frozen=True, slots=True)
class Certified:
    """A checkpoint certificate covers this root; catch up to it where it is ahead."""

    root: Root


@dataclass(frozen=True, slots=True)
class Hint:
    """A peer told something, unsigned: authenticated by its link, never counted as a vote."""

    peer: int
    hint: bytes


Event = (
    Start
    | Received
    | CertificateReceived
    | TimerFired
    | Pending
    | PayloadReady
    | Verdict
    | ValueReceived
    | DecisionReceived
    | Certified
    | Hint
)


# --- Effects: what a plugin says ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Sign and send to every validator, ourselves included; certificates travel unsigned."""

    what: Message | AnyCertificate


@dataclass(frozen=True, slots=True)
class Send:
    """Sign and send to one validator, perhaps ourselves."""

    to: int
    what: Message | AnyCertificate


@dataclass(frozen=True, slots=True)
class Forward:
    """Pass a signed message of anyone on to one other validator, as it came."""

    to: int
    signed: Signed


@dataclass(frozen=True, slots=True)
class Tell:
    """Send unsigned bytes to one validator."""

    to: int
    hint: bytes


@dataclass(frozen=True, slots=True)
class Persist:
    """Replace the plugin's durable record."""

    record: bytes


@dataclass(frozen=True, slots=True)
class Settle:
    """Nothing below floor will be said in this phase again."""

    phase: str
    floor: Slot


@dataclass(frozen=True, slots=True)
class SetTimer:
    timer: Timer
    delay_ms: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    timer: Timer


@dataclass(frozen=True, slots=True)
class RequestPayload:
    """Ask for batches to propose on top of parent (a value's digest, or empty)."""

    slot: Slot
    parent: bytes


@dataclass(frozen=True, slots=True)
class Validate:
    """Ask whether a value is valid.

    A value with a parent: once its ancestors are known.  One without: once its predecessor is
    decided, since the verdict is given from there.  One that names the epoch id as its parent is
    judged from the beginning of the epoch, whatever has been decided since.  Once a root of its
    slot or a later one is decided or adopted, no verdict comes any more.
    """

    value: Value


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the other validators for the value with this digest, until it comes.

    Once a root is certified that is ahead of the own one at this moment, nobody asks any more.
    """

    value: bytes


@dataclass(frozen=True, slots=True)
class Dismiss:
    """No verdict on this value is waited for any more, nor what it needs."""

    value: Value


@dataclass(frozen=True, slots=True)
class Offer:
    """Let the other validators fetch this value; those that messages carry they can anyway."""

    value: Value


@dataclass(frozen=True, slots=True)
class Decide:
    """These values are decided, in their total order, for this reason."""

    values: tuple[Value, ...]
    proof: DecisionProof


@dataclass(frozen=True, slots=True)
class Accuse:
    """Two signed statements of one validator that no honest one makes."""

    first: Signed
    second: Signed


@dataclass(frozen=True, slots=True)
class Note:
    """A past-tense fact for traces, charts and metrics."""

    name: str
    fields: tuple[tuple[str, Any], ...]


Effect = (
    Broadcast
    | Send
    | Forward
    | Tell
    | Persist
    | Settle
    | SetTimer
    | CancelTimer
    | RequestPayload
    | Validate
    | Dismiss
    | Fetch
    | Offer
    | Decide
    | Accuse
    | Note
)


class Consensus(ABC):
    """One protocol.  A plugin overrides the `on_` handlers and speaks in the words below them."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    fault_model: ClassVar[str] = "byzantine"
    """"byzantine", "crash" or "none"."""
    lock_step: ClassVar[bool] = False
    """Whether slots begin by the clock on the wall: while clocks differ, or messages take longer
    than the parameters say, such a protocol may stand still, and only its safety is judged.  It
    says how long by `delay_max_ms`."""
    brings_time: ClassVar[bool] = True
    """Whether the timestamp of a value that is judged becomes the ledger's: then it waits while it
    is ahead of the clock.  Not where a protocol stamps what it decides by the clocks of many."""
    MESSAGES: ClassVar[tuple[type[Message], ...]]
    PARAMETERS: ClassVar[Mapping[str, int]]
    """Every parameter with its default; times end in _ms."""
    MAY_BE_ZERO: ClassVar[frozenset[str]] = frozenset()
    """Parameters that may be 0; all others are at least 1."""
    LEADERS: ClassVar[type[Policy] | None] = None
    """Who leads, where another policy may say so instead (consensus/leaders.py)."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        self.context = context
        self.me = context.me
        self.validators = context.validators
        self.parameters = context.parameters
        self.root = recovery.root
        """The last value this plugin knows to be decided; `decide` and `adopt` move it."""
        self.now = Now(0, 0)
        """The time of the current step."""
        self._outbox: list[Effect] = []
        self._said: dict[tuple[str, Slot], Message] = {}
        for signed in recovery.sent:
            phase, slot, _ = signed.message.statement()
            self._said[phase, slot] = signed.message

    def step(self, now: Now, event: Event) -> list[Effect]:
        """Take one event to completion; the effects, in order, become one atomic batch."""
        self.now = now
        _DISPATCH[type(event)](self, event)
        outbox, self._outbox = self._outbox, []
        return outbox

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        """How many signatures a certificate of this phase holds: the epoch's quorum."""
        return validators.quorum

    @classmethod
    def validators_max(cls, parameters: Mapping[str, int], signature_bytes: int) -> int:
        """How many validators a network can have, whose statements have signatures so long.

        A message with a few certificates at most fits into MESSAGE_BYTES_MAX for any number that
        `init` takes.  A protocol that puts more into one says here how many validators it is for;
        with more, it would stop where such a message is due.
        """
        return VALIDATORS_MAX

    @classmethod
    def turn(cls) -> int:
        """How many slots in a row let one leader decide a value of its own."""
        return 1

    @classmethod
    def ordering_lag(cls, batch_window: int) -> int:
        """How many blocks at most may be decided between a value's parent and its payload.

        Zero where a value is decided as the child of its parent, as in all protocols that chain
        values or decide one after the other.  Where it is not, a payload is valid only if it may
        still be ordered so many heights later.
        """
        return 0

    def leader(self, slot: Slot) -> int | None:
        """Whose proposal counts in a slot, by agreed data alone; None where nobody leads.

        A protocol with leaders overrides it and asks it every time, so that a schedule of the
        simulator can say who leads (Bano et al., "Twins", 2021).
        """
        return None

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        """How long at most it takes until a decision, once faults that lasted chaos_ms are over.

        From then on messages take at most delay_ms, a quorum of honest validators is up and linked,
        at most f others lie or are silent, and something waits to be ordered.  With chaos_ms 0 it
        bounds the time between two decisions.  A run that exceeds it has lost its liveness, so
        derive it from timeouts and rotation rather than guess it; this default is for a protocol
        that has not done so.
        """
        return 60_000 + chaos_ms + 100 * delay_ms

    @classmethod
    def delay_max_ms(cls, parameters: Mapping[str, int]) -> int | None:
        """How long a message may take for a lock-step protocol to go on; None: any time.

        Simulators draw no slower links for it where they judge progress.
        """
        return None

    # --- handlers: a protocol overrides -----------------------------------------------------------

    @abstractmethod
    def on_start(self) -> None:
        """Begin, or go on after a restart: re-send what was said in the current slot."""

    @abstractmethod
    def on_message(self, signed: Signed) -> None:
        """React to a message with a right signature and right certificates."""

    def on_certificate(self, certificate: AnyCertificate) -> None:
        """React to a right certificate that came by itself."""

    @abstractmethod
    def on_timer(self, timer: Timer) -> None:
        """React to a timer that was set and not cancelled."""

    @abstractmethod
    def on_pending(self, oldest_age: int) -> None:
        """There is something to order: wake up where idle, suspect a leader where overdue."""

    @abstractmethod
    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        """Propose, if the slot is still current."""

    @abstractmethod
    def on_verdict(self, value: Value, valid: bool) -> None:
        """Vote, if the slot is still current.  `valid` is false for ever."""

    def on_value(self, value: Value) -> None:
        """A fetched value arrived."""

    @abstractmethod
    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        """Check a peer's decision by the commit rule and `decide` what is new in it."""

    @abstractmethod
    def on_certified(self, root: Root) -> None:
        """Adopt a certified root that is ahead of the own one; settle what it covers."""

    def on_hint(self, peer: int, hint: bytes) -> None:
        """A peer told something that is not a vote."""

    # --- words: each only appends to the outbox ---------------------------------------------------

    def broadcast(self, what: Message | AnyCertificate) -> None:
        self._remember(what)
        self._outbox.append(Broadcast(what))

    def send(self, to: int, what: Message | AnyCertificate) -> None:
        self._remember(what)
        self._outbox.append(Send(to, what))

    def forward(self, to: int, signed: Signed) -> None:
        self._outbox.append(Forward(to, signed))

    def tell(self, to: int, hint: bytes) -> None:
        self._outbox.append(Tell(to, hint))

    def persist(self, record: bytes) -> None:
        self._outbox.append(Persist(record))

    def settle(self, phase: str, floor: Slot) -> None:
        for key in [key for key in self._said if key[0] == phase and key[1] < floor]:
            del self._said[key]
        self._outbox.append(Settle(phase, floor))

    def set_timer(self, name: str, slot: Slot, delay_ms: int) -> None:
        self._outbox.append(SetTimer(Timer(name, slot), delay_ms))

    def cancel_timer(self, name: str, slot: Slot) -> None:
        self._outbox.append(CancelTimer(Timer(name, slot)))

    def request_payload(self, slot: Slot, parent: bytes) -> None:
        self._outbox.append(RequestPayload(slot, parent))

    def validate(self, value: Value) -> None:
        self._outbox.append(Validate(value))

    def dismiss(self, value: Value) -> None:
        """Give up a verdict, where nothing else ends the wait: a decision of a later slot does."""
        self._outbox.append(Dismiss(value))

    def fetch(self, value: bytes) -> None:
        self._outbox.append(Fetch(value))

    def offer(self, value: Value) -> None:
        self._outbox.append(Offer(value))

    def decide(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        """Hand over newly decided values, oldest first, and move the root to the last of them."""
        assert values, "a decision has at least one value"
        blocks = sum(1 for value in values if value.payload)
        last = values[-1]
        self.root = Root(last.digest, last.slot, self.root.height + blocks)
        self._outbox.append(Decide(values, proof))

    def adopt(self, root: Root) -> None:
        """Move the root to a certified one that is ahead; its values came by synchronisation."""
        self.root = root

    def accuse(self, first: Signed, second: Signed) -> None:
        self._outbox.append(Accuse(first, second))

    def note(self, name: str, **fields: Any) -> None:
        self._outbox.append(Note(name, tuple(sorted(fields.items()))))

    def said(self, phase: str, slot: Slot) -> Message | None:
        """What this validator said there, also across restarts, unless settled."""
        return self._said.get((phase, slot))

    def _remember(self, what: Message | AnyCertificate) -> None:
        if isinstance(what, Message):
            phase, slot, _ = what.statement()
            self._said[phase, slot] = what


_DISPATCH: dict[type, Any] = {
    Start: lambda plugin, event: plugin.on_start(),
    Received: lambda plugin, event: plugin.on_message(event.signed),
    CertificateReceived: lambda plugin, event: plugin.on_certificate(event.certificate),
    TimerFired: lambda plugin, event: plugin.on_timer(event.timer),
    Pending: lambda plugin, event: plugin.on_pending(event.oldest_age),
    PayloadReady: lambda plugin, event: plugin.on_payload(event.slot, event.payload),
    Verdict: lambda plugin, event: plugin.on_verdict(event.value, event.valid),
    ValueReceived: lambda plugin, event: plugin.on_value(event.value),
    DecisionReceived: lambda plugin, event: plugin.on_decision(event.values, event.proof),
    Certified: lambda plugin, event: plugin.on_certified(event.root),
    Hint: lambda plugin, event: plugin.on_hint(event.peer, event.hint),
}

"""What this machine can do at best, measured in the same run as the ledger.

Each figure says what the hardware and the fastest installed library allow, so that the ledger's own
figures can be read as ratios.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl import bindings

from benchmarks.tls import link_message_us, message_us
from storage.home import default_engine

MESSAGE_BYTES = 150
"""About a transaction's header."""
SLICE_S = 1.0


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The machine's own limits."""

    cores: int
    checks_per_s: dict[str, float]
    """Ed25519 checks a second on all cores, by library."""
    sha256_mib_per_s: float
    """On one core, 64 KiB messages."""
    synced_writes_per_s: float
    """Small synced batches a second, one after another, on the default engine."""
    tls_message_us: float
    """Processor time to send and to receive a small message over trio and TLS, both ends."""
    link_message_us: float
    """The same over the stream that links use."""
    python_us: float
    """Processor time of a fixed piece of interpreter work (`_python_work`): how fast Python is here
    beside the libraries in C."""

    @property
    def fastest_checks_per_s(self) -> float:
        return max(self.checks_per_s.values())

    def signed_ceiling_per_s(self, validators: int) -> float:
        """Transactions a second if checking each signature once a validator were all the work."""
        return self.fastest_checks_per_s / validators


def measure(folder: Path | None = None) -> Ceilings:
    """Takes about five seconds.

    folder: where it writes; the system's own for temporary files unless given.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return Ceilings(
        cores=cores,
        checks_per_s={
            "libsodium (PyNaCl)": _on_all_cores(_sodium_checks, cores),
            "OpenSSL (cryptography)": _on_all_cores(_openssl_checks, cores),
        },
        sha256_mib_per_s=_sha256(),
        synced_writes_per_s=_synced_writes(folder),
        tls_message_us=message_us(),
        link_message_us=link_message_us(),
        python_us=_python_us(),
    )


def _on_all_cores(work: Callable[[float], float], cores: int) -> float:
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.map(work, [0.05] * cores)  # warm up: start the processes
        return sum(pool.map(work, [SLICE_S] * cores))


def _rate(act: Callable[[], object], seconds: float) -> float:
    """How often a second act can be done."""
    count = 0
    begin = time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds:
        for _ in range(20):
            act()
        count += 20
    return count / spent


def _sodium_checks(seconds: float) -> float:
    public, secret = bindings.crypto_sign_seed_keypair(bytes(32))
    signed = bindings.crypto_sign(bytes(MESSAGE_BYTES), secret)
    return _rate(lambda: bindings.crypto_sign_open(signed, public), seconds)


def _openssl_checks(seconds: float) -> float:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    message = bytes(MESSAGE_BYTES)
    signature = private.sign(message)
    public = private.public_key()
    return _rate(lambda: public.verify(signature, message), seconds)


def _python_us() -> float:
    begin = time.process_time()
    for _ in range(200):
        _python_work()
    return (time.process_time() - begin) / 200 * 1_000_000


def _python_work() -> int:
    """Tuples, numbers, texts and a dictionary: what a node does between calls into C."""
    table: dict[int, tuple[int, str]] = {}
    for number in range(1_000):
        table[number % 100] = (number, str(number))
    return len(table)


def _sha256() -> float:
    block = bytes(64 * 1024)
    return _rate(lambda: hashlib.sha256(block).digest(), SLICE_S / 2) / 16


def _synced_writes(place: Path | None) -> float:
    from storage import home

    with tempfile.TemporaryDirectory(dir=place) as folder:
        path = Path(folder)
        with home.create(path, default_engine(), network=bytes(32)) as store:
            numbers = iter(range(10**9))
            return _rate(
                lambda: store.write([(b"\x01%d" % next(numbers), bytes(200))], sync=True), SLICE_S
            )

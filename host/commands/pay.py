"""`pay`: one payment, confirmed."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from api.client import Outcome
from host.commands.balance import account_of
from host.commands.options import Target, network_options
from host.commands.submit import say
from ledger.applications.payments import Act, make_payment
from ledger.keys import short_key
from ledger.limits import INTEGER_MAX


@click.command("pay", epilog="Example: python node.py pay 30 ACCOUNT --network mynet")
@click.argument("amount", type=click.IntRange(1, INTEGER_MAX))
@click.argument("account", required=False)
@click.option("--issue", "act", flag_value="issue", help="Create the amount: administrators only.")
@click.option("--redeem", "act", flag_value="redeem", help="Take it out of circulation.")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Who pays; DIR/member.key unless given.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    amount: int,
    account: str | None,
    act: str | None,
    key: Path | None,
    target: Target,
    as_json: bool,
) -> int:
    """Transfer AMOUNT to ACCOUNT, 64 hexadecimal digits, and wait.

    Without ACCOUNT, --issue and --redeem are about the own account.  Exit code 1 where the ledger
    refuses, such as a payment of more than there is.
    """
    if account is None and act is None:
        raise click.UsageError("say to whom: AMOUNT ACCOUNT")
    if account is not None and act == "redeem":
        raise click.UsageError("only the own account is redeemed: leave out ACCOUNT")
    if account is not None:
        receiver = account_of(account)
    else:
        receiver = short_key(target.signer(key).public_key)
    operation = make_payment(Act(act or "transfer"), receiver, amount)

    async def submit() -> Outcome:
        async with target.client(key=key, sign=True) as client:
            return await client.submit([operation])

    outcome = trio.run(submit)
    say(outcome, as_json=as_json)
    return 0 if outcome.status == "applied" else 1

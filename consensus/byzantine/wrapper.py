"""An honest plugin with attackers behind it: the same class but for what its steps let leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consensus.byzantine.attacker import TIMER, Attacker, Draw, Scene
from consensus.interface import (
    Broadcast,
    CancelTimer,
    Consensus,
    Context,
    Effect,
    Event,
    Forward,
    Now,
    Recovery,
    Send,
    SetTimer,
    Start,
    Tell,
    Timer,
    TimerFired,
)

_ATTACK = "_attack"
"""Where a plugin keeps its attackers; everything else in it is the protocol's own."""


@dataclass(frozen=True, slots=True)
class Attack:
    """The attackers of one running plugin."""

    attackers: Sequence[Attacker]
    timers: dict[Timer, int]
    """The plugin's own timers that run."""
    everyone: tuple[int, ...]
    """The validator itself first, then the others."""

    def through(self, effects: Iterable[Effect], *, first: int) -> list[Effect]:
        """What leaves of these effects, from the attacker at this place of the combination on."""
        passing = list(effects)
        for attacker in self.attackers[first:]:
            after: list[Effect] = []
            for effect in passing:
                is_word = isinstance(effect, Send | Forward | Tell)
                if is_word and effect.to != self.everyone[0]:  # type: ignore[union-attr]
                    after.extend(attacker.say(effect))  # type: ignore[arg-type]
                else:
                    after.append(effect)
            passing = after
        return passing

    def spread(self, effects: list[Effect]) -> list[Effect]:
        """Every broadcast as single words, and a look at the plugin's timers."""
        spread: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Broadcast):
                spread += [Send(to, effect.what) for to in self.everyone]
                continue
            if isinstance(effect, SetTimer):
                self.timers[effect.timer] = effect.delay_ms
            elif isinstance(effect, CancelTimer):
                self.timers.pop(effect.timer, None)
            spread.append(effect)
        return spread


def attacked_by(
    protocol: type[Consensus], attackers: Sequence[type[Attacker]], seed: int
) -> type[Consensus]:
    """The protocol with these attackers behind every running plugin that is a validator's."""

    class Attacked(protocol):  # type: ignore[misc, valid-type]
        def __init__(self, context: Context, recovery: Recovery) -> None:
            super().__init__(context, recovery)
            setattr(self, _ATTACK, _attack(context, attackers, seed))

        def step(self, now: Now, event: Event) -> list[Effect]:
            attack: Attack | None = getattr(self, _ATTACK)
            if attack is None:
                return super().step(now, event)  # type: ignore[no-any-return]
            if isinstance(event, TimerFired):
                if event.timer.name == TIMER:
                    place, number = event.timer.slot
                    said = attack.attackers[place].on_timer(number)
                    return attack.through(said, first=place + 1)
                attack.timers.pop(event.timer, None)
            for attacker in attack.attackers:
                attacker.hear(event)
            effects = super().step(now, event)
            if any(attacker.forgets() for attacker in attack.attackers):
                effects += self._forget(attack, now)
            return attack.through(attack.spread(effects), first=0)

        def _forget(self, attack: Attack, now: Now) -> list[Effect]:
            """Begin anew, knowing only what is decided."""
            effects: list[Effect] = [CancelTimer(timer) for timer in attack.timers]
            recovery = Recovery(self.root, None, ())
            context = self.context
            self.__dict__.clear()
            super().__init__(context, recovery)
            setattr(self, _ATTACK, attack)
            return effects + super().step(now, Start())  # type: ignore[no-any-return]

    Attacked.__name__ = Attacked.__qualname__ = protocol.__name__
    attacked: type[Consensus] = Attacked
    return attacked


def _attack(context: Context, attackers: Sequence[type[Attacker]], seed: int) -> Attack | None:
    """The attackers, each with its scene; None for an observer, which says nothing anyway."""
    me = context.me
    if me is None:
        return None
    others = tuple(index for index in range(context.validators.size) if index != me)
    shared = Draw("attack", seed, context.epoch)
    timers: dict[Timer, int] = {}

    def scene(place: int) -> Scene:
        return Scene(me, others, shared.named("of", me, place), shared, place, timers)

    made = [attacker(scene(place)) for place, attacker in enumerate(attackers)]
    return Attack(made, timers, (me, *others))

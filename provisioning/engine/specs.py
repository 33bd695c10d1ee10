"""What a step and a stack are. A product person can read a stack file."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from django.utils.functional import Promise

from infra.models import DomainState, MailboxState, Origin, ProvisionState

from .entries import Entry
from .holding import Holding
from .measuring import Measuring
from .outcomes import Outcomes
from .registrar import Registrar
from .spending import Cost
from .zoning import Zoning

if TYPE_CHECKING:
    from provisioning.models import Run

    from .context import Context

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SETUP = "setup"  # name of the pipeline that every stack has


class Scope(enum.StrEnum):
    """What a step has one state per."""

    RUN = "run"
    DOMAIN = "domain"
    MAILBOX = "mailbox"


class Needs(enum.StrEnum):
    """Whether a step of the whole run waits for all items before it, or for the first."""

    ALL = "all"
    FIRST = "first"


class GivesUpTo(enum.StrEnum):
    """Who takes over when a step's deadline has passed."""

    OPERATOR = "operator"  # an operator item; we go on looking
    SET_ASIDE = "set_aside"  # the item leaves the wave, the others go on


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step of a stack. Times are vendor seconds.

    key          stable name, stored with each row
    scope        run, domain or mailbox
    origin       for a domain step: the only domains that go through it, bought ones or the student's own; None: all
    label        the operator's words
    stage        the student's stage this belongs to
    function     Context -> outcome, or outcomes by item
    asks         slug of the platform whose answer it waits for; empty where it asks none
    notes        facts it leaves that later steps read: what a person must enter who does it by hand
    login        kind of the credential it stores, if it stores one
    entry        what a person makes at a platform and types in for each item, where no call can make it
    poll         how often to look at most; the longer it takes, the more rarely (see `pace`)
    gather       how long an item may wait here for siblings that are on their way, so that one request carries them
    slowest      how rarely to look at most, however long it has taken
    deadline     when to give up
    gives_up_to  to whom
    usual        how long it usually takes: (from, to)
    after        the steps that it waits for, and with them those that they wait for; none named: the one that stands before it
    needs        for a run step: all items before it, or the first
    begins, ends the state an item is in while the step works on it, and once it is done
    yields       a budget, and for how long its looks let those go first who wait for a permit of it: as long as the step
                 takes as a rule, so that few looks are in vain
    leisure      a budget, and for how long it lets those go first who wait for a permit of it, before it begins: as long as
                 nothing else of the order has to wait for it meanwhile
    """

    key: str
    scope: Scope
    label: str
    stage: str
    function: Callable[[Context], Outcomes]
    after: tuple[str, ...] = ()
    origin: Origin | None = None
    asks: str = ""
    notes: tuple[str, ...] = ()
    login: str = ""
    entry: Entry | None = None
    poll: float = 1 * MINUTE
    gather: float = 0.0
    slowest: float = 0.5 * HOUR
    deadline: float = 1 * DAY
    gives_up_to: GivesUpTo = GivesUpTo.OPERATOR
    usual: tuple[float, float] = (0.0, 1 * MINUTE)
    needs: Needs = Needs.ALL
    begins: DomainState | MailboxState | None = None
    ends: DomainState | MailboxState | None = None
    yields: tuple[str, float] | None = None
    leisure: tuple[str, float] | None = None

    def is_about(self, origin: str) -> bool:
        """Tell whether a domain of this origin goes through it."""
        return self.origin is None or self.origin == origin

    def pace(self, waited: float) -> float:
        """Return how long to wait before looking again after `waited`: first until it can usually be done, then `poll`,
        in the long run a quarter of the time that has passed, `slowest` at most."""
        if waited < self.usual[0]:
            return max(self.poll, self.usual[0] - waited)
        return max(self.poll, min(waited / 4, self.slowest))


@dataclass(frozen=True, slots=True)
class Stage:
    """What the student sees: several steps under one plain name."""

    key: str
    title: str | Promise
    doing: str | Promise


@dataclass(frozen=True, slots=True)
class Pitch:
    """What a stack means to a student who chooses a package.

    title, text        heading of its packages, and one sentence
    included           what each of them holds besides the counts
    ready              how long it usually takes
    domain_year_cents  about what a domain costs from its second year on
    sending_tool       name of the setting with the address where students work with their mailboxes
    has_lead_list      whether it makes a lead list
    left_out, later    what becomes of what a smaller package leaves out; what a student who wants more again should know
    not_smaller        why nobody can change to a smaller package, where the stack has no pipeline for that
    """

    title: str | Promise = ""
    text: str | Promise = ""
    included: tuple[str | Promise, ...] = ()
    ready: str | Promise = ""
    domain_year_cents: int = 0
    sending_tool: str = ""
    has_lead_list: bool = False
    left_out: str | Promise = ""
    later: str | Promise = ""
    not_smaller: str | Promise = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of an order when a run has come to its end; None where it stays as it is.

    done, partly, failed  the order's state: all is there; something was set aside; it cannot go on. Without `failed` a run
                          also ends `partly` when everything was set aside: the order was there before
    ready, missing, trouble  the mails that say so; empty where nobody is told
    act                   what else becomes true in the same commit
    """

    done: ProvisionState | None = None
    partly: ProvisionState | None = None
    failed: ProvisionState | None = None
    ready: str = ""
    missing: str = ""
    trouble: str = ""
    act: Callable[[Run], None] | None = None


SET_UP = Ending(
    done=ProvisionState.ACTIVE,
    partly=ProvisionState.ACTIVE_WITH_EXCEPTIONS,
    failed=ProvisionState.FAILED,
    ready="ready",
    missing="ready_with_exceptions",
    trouble="failed",
)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The steps of one kind of run, other than the set-up, how it ends, and the student's stages if they see it."""

    steps: tuple[StepSpec, ...]
    ending: Ending
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class StackSpec:
    """An ordered tuple of steps: those that set an order up. A run keeps the version it began with.

    pitch      what it means to a student who chooses
    pipelines  by name, what else is ever done to an order: see `provisioning/life.py` for who begins which
    registrar  where its names are asked for; without it nobody can search for one
    measuring  how its mailboxes are looked at once they run; nothing is measured without it
    holding    how what an order owns is looked at; dates and renewals are not watched without it
    connections  the platforms at which a student may work in an account of their own
    helpers    those of further accounts of a student's that make a step easier, and that nobody needs
    takes_people  whether a student may name the people who write one by one, each with a daily limit
    costs      what its orders pay for at the platforms; without them an order is said to cost nothing
    zoning     which DNS records its domains should have, and which of them can be changed
    """

    key: str
    title: str
    version: int
    stages: tuple[Stage, ...]
    steps: tuple[StepSpec, ...]
    pitch: Pitch = Pitch()
    ending: Ending = SET_UP
    pipelines: Mapping[str, Pipeline] = field(default_factory=dict)
    registrar: Registrar | None = None
    measuring: Measuring | None = None
    holding: Holding | None = None
    connections: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    takes_people: bool = False
    costs: tuple[Cost, ...] = ()
    zoning: Zoning | None = None

    def pipeline(self, name: str) -> StackSpec:
        """Return the stack as a run of that pipeline works on it. Raises KeyError."""
        if name == SETUP:
            return self
        other = self.pipelines[name]
        return replace(self, steps=other.steps, ending=other.ending, stages=other.stages)

    @property
    def stores_login(self) -> bool:
        """Whether the set-up leaves a login for the student."""
        return any(spec.login for spec in self.steps)

    @property
    def takes_own(self) -> bool:
        """Whether a student may bring a domain along."""
        return any(spec.origin == Origin.OWN for spec in self.steps)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms that its set-up asks, in that order."""
        return tuple(dict.fromkeys(spec.asks for spec in self.steps if spec.asks))

    def steps_asking(self, platform: str) -> frozenset[str]:
        """Return the keys of all steps, of whatever pipeline, that wait for a platform's answer."""
        every = [self.steps, *(other.steps for other in self.pipelines.values())]
        return frozenset(spec.key for steps in every for spec in steps if spec.asks == platform)

    def step(self, key: str) -> StepSpec:
        """Return the step named `key`. Raises KeyError."""
        return next_or_raise(self.steps, key)


def before_each(steps: Sequence[StepSpec]) -> dict[str, tuple[StepSpec, ...]]:
    """Return by key the steps that have to be closed before one begins, in their order.

    A step that names others waits for those of them that are among `steps`, and for the one that stands before it where
    none is. Raises ValueError for a name that stands behind it.
    """
    names: dict[str, set[str]] = {}
    for place, spec in enumerate(steps):
        later = {other.key for other in steps[place:]}
        if later.intersection(spec.after):
            raise ValueError(f"{spec.key} waits for what comes after it")
        direct = [key for key in spec.after if key in names] or [other.key for other in steps[:place][-1:]]
        names[spec.key] = set(direct).union(*(names[key] for key in direct))
    return {spec.key: tuple(other for other in steps if other.key in names[spec.key]) for spec in steps}


def next_or_raise(steps: tuple[StepSpec, ...], key: str) -> StepSpec:
    """Return the spec named `key`. Raises KeyError."""
    for spec in steps:
        if spec.key == key:
            return spec
    raise KeyError(key)

"""All rows of some orders, read once: what whoever judges the end of a story looks at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q

from infra.models import Credential, Domain, Mail, Mailbox, OperatorItem, OrderLine, Provision
from provisioning.models import Event, Operation, OperationItem, Run, Step

R = TypeVar("R", bound=Model)
Grouped = Mapping[Any, list[R]]

EVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class Books:
    """The rows of some orders; each kind is read when it is first asked for.

    Rows are grouped by the order they belong to; steps, events and operations by their run, items by their operation.
    """

    orders: list[Provision]

    @classmethod
    def since(cls, instant: datetime = EVER, *, besides: Iterable[UUID] = ()) -> Books:
        """Open the books of the orders made since an instant, and of some others."""
        chosen = Q(created_at__gte=instant) | Q(pk__in=list(besides))
        return cls(list(Provision.objects.filter(chosen).order_by("created_at")))

    @cached_property
    def ids(self) -> list[UUID]:
        return [order.pk for order in self.orders]

    @cached_property
    def domains(self) -> Grouped[Domain]:
        return grouped(Domain.objects.filter(provision__in=self.ids).order_by("position", "name"), "provision_id")

    @cached_property
    def mailboxes(self) -> Grouped[Mailbox]:
        return grouped(Mailbox.objects.filter(provision__in=self.ids).order_by("address"), "provision_id")

    @cached_property
    def credentials(self) -> Grouped[Credential]:
        return grouped(Credential.objects.filter(provision__in=self.ids), "provision_id")

    @cached_property
    def lines(self) -> Grouped[OrderLine]:
        return grouped(OrderLine.objects.filter(provision__in=self.ids), "provision_id")

    @cached_property
    def mails(self) -> Grouped[Mail]:
        return grouped(Mail.objects.filter(provision__in=self.ids), "provision_id")

    @cached_property
    def tasks(self) -> Grouped[OperatorItem]:
        """What a person has, or had, to do about each order."""
        return grouped(OperatorItem.objects.filter(provision__in=self.ids), "provision_id")

    @cached_property
    def runs(self) -> Grouped[Run]:
        return grouped(Run.objects.filter(provision__in=self.ids), "provision_id")

    @cached_property
    def all_runs(self) -> list[Run]:
        return [run for order in self.ids for run in self.runs[order]]

    @cached_property
    def run_ids(self) -> list[UUID]:
        return [run.pk for run in self.all_runs]

    @cached_property
    def steps(self) -> Grouped[Step]:
        return grouped(Step.objects.filter(run__in=self.run_ids), "run_id")

    @cached_property
    def events(self) -> Grouped[Event]:
        return grouped(Event.objects.filter(run__in=self.run_ids).order_by("created_at"), "run_id")

    @cached_property
    def operations(self) -> Grouped[Operation]:
        return grouped(Operation.objects.filter(run__in=self.run_ids).order_by("created_at"), "run_id")

    @cached_property
    def all_operations(self) -> list[Operation]:
        return [operation for run in self.run_ids for operation in self.operations[run]]

    @cached_property
    def items(self) -> Grouped[OperationItem]:
        asked = [operation.pk for operation in self.all_operations]
        return grouped(OperationItem.objects.filter(operation__in=asked), "operation_id")

    @cached_property
    def all_items(self) -> list[OperationItem]:
        return [item for operation in self.all_operations for item in self.items[operation.pk]]

    def is_known(self, order: UUID) -> bool:
        """Tell whether a person has been told of something about an order that is not resolved yet."""
        return any(task.resolved_at is None for task in self.tasks[order])


def grouped(rows: Iterable[R], by: str) -> Grouped[R]:
    """Return rows by the value of an attribute; of values that no row has, none."""
    found: dict[Any, list[R]] = defaultdict(list)
    for row in rows:
        found[getattr(row, by)].append(row)
    return found

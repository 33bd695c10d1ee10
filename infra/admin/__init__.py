"""The operator's console: plain Django Admin, one file per model."""

from . import (
    authentication_test,
    credential_reveal,
    domain,
    flag,
    mail,
    mailbox,
    measurement,
    name_check,
    operator_item,
    order_line,
    platform_connection,
    provision,
    renewal_choice,
    site,
    tier,
    user,
)

__all__ = [
    "authentication_test",
    "credential_reveal",
    "domain",
    "flag",
    "mail",
    "mailbox",
    "measurement",
    "name_check",
    "operator_item",
    "order_line",
    "platform_connection",
    "provision",
    "renewal_choice",
    "site",
    "tier",
    "user",
]

"""Smartlead's own import of accounts from a file: for when its API refuses them.

Their page "Import" in "Email Accounts" reads it. The columns were written down by other callers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

from .smartlead import AppPassword, NewAccount

# In this order, as their page "Import" wants them (written down by other callers).
IMPORT_COLUMNS: Final = (
    *("from_name", "from_email", "user_name", "password", "smtp_host", "smtp_port", "imap_host", "imap_port"),
    *("max_email_per_day", "custom_tracking_url", "warmup_enabled", "total_warmup_per_day", "daily_rampup"),
    *("reply_rate_percentage", "bcc", "signature", "different_reply_to_address", "imap_user_name", "imap_password"),
)
_PASSWORDS: Final = ("password", "imap_password")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class UnsafeForSpreadsheets(ValueError):
    """A password would be executed by a spreadsheet: names the addresses."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = list(addresses)
        super().__init__(", ".join(addresses))


def import_file(accounts: Sequence[NewAccount], *, for_spreadsheets: bool = False) -> bytes:
    """Return accounts as the CSV (RFC 4180) that their own page imports: for when the API refuses them.

    Passwords are written byte for byte; every other cell that begins like a formula gets an apostrophe in front.
    Raises UnsafeForSpreadsheets where a person would open the file and a password begins like a formula, ValueError for
    an account by OAuth: tokens have no column.
    """
    if any(not isinstance(one.credential, AppPassword) for one in accounts):
        raise ValueError("an account by OAuth does not fit into a file")
    rows = [_import_row(one, one.credential) for one in accounts if isinstance(one.credential, AppPassword)]
    risky = [row["from_email"] for row in rows if any(row[name].startswith(_FORMULA) for name in _PASSWORDS)]
    if for_spreadsheets and risky:
        raise UnsafeForSpreadsheets(risky)
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\r\n")
    writer.writerow(IMPORT_COLUMNS)
    for row in rows:
        writer.writerow([row[name] if name in _PASSWORDS else _defused(row[name]) for name in IMPORT_COLUMNS])
    return content.getvalue().encode()


def _import_row(account: NewAccount, credential: AppPassword) -> dict[str, str]:
    written, warmup = account.settings.written, account.warmup
    values = {
        "from_name": account.name,
        "from_email": account.address.strip().lower(),
        "user_name": credential.smtp.username,
        "password": credential.smtp.password.open(),
        "smtp_host": credential.smtp.host,
        "smtp_port": credential.smtp.port,
        "imap_host": credential.imap.host,
        "imap_port": credential.imap.port,
        "warmup_enabled": "TRUE" if warmup is not None and warmup.enabled else "FALSE",
        "imap_user_name": credential.imap.username,
        "imap_password": credential.imap.password.open(),
        **(warmup.values if warmup is not None else {}),
        **written,
    }
    return {name: str(values.get(name, "")) for name in IMPORT_COLUMNS}


def _defused(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell

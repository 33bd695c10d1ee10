"""The list. A bug whose text no longer stands in its file fails `test_list.py`: the list is kept true with the code."""

from __future__ import annotations

from .accounts import ACCOUNTS
from .building import BUILDING
from .downgrades import DOWNGRADES
from .figures import FIGURES
from .forge import FORGE
from .mail import MAIL
from .names import NAMES
from .payments import PAYMENTS
from .protocol import PROTOCOL
from .registering import REGISTERING
from .rows import ROWS
from .smartlead import SMARTLEAD

BUGS = (
    *PROTOCOL,
    *BUILDING,
    *PAYMENTS,
    *ROWS,
    *FIGURES,
    *NAMES,
    *FORGE,
    *DOWNGRADES,
    *SMARTLEAD,
    *ACCOUNTS,
    *MAIL,
    *REGISTERING,
)

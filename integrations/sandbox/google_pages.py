"""The simulated console of Google Workspace: what no call does, a person does here, as in the real one."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from . import google_world
from .reading import Refusal

if TYPE_CHECKING:
    from .core import Sandbox

Form = dict[str, str]


def _generate(sandbox: Sandbox, form: Form) -> None:
    google_world.generate_key(sandbox.world, form.get("domain", ""), sandbox.clock.now())


def _start(sandbox: Sandbox, form: Form) -> None:
    google_world.start_authentication(sandbox.world, form.get("domain", ""), sandbox.clock.now())


def _app_password(sandbox: Sandbox, form: Form) -> None:
    address = form.get("address", "")
    google_world.switch_two_step(sandbox.world, address, True)
    google_world.make_app_password(sandbox.world, address, "Smartlead", sandbox.clock.now())


def _as_value_error(act: Callable[[Sandbox, Form], None]) -> Callable[[Sandbox, Form], None]:
    def done(sandbox: Sandbox, form: Form) -> None:
        try:
            act(sandbox, form)
        except Refusal as refusal:
            raise ValueError(refusal.sentence) from refusal

    return done


POSTS = {
    "/google/dkim": _as_value_error(_generate),
    "/google/start": _as_value_error(_start),
    "/google/app-password": _as_value_error(_app_password),
}


def part(sandbox: Sandbox) -> str:
    """Return the console's part of the overview; nothing while the account holds only what it began with."""
    google = sandbox.world.google_workspace
    domains = [one for one in google.domains.values() if not one.is_primary]
    users = [one for one in google.users.values() if not one.is_admin and one.deleted_at is None]
    if not domains:
        return ""
    return "".join(
        (
            "<h2>Google Workspace</h2>",
            *(_domain(one, sandbox.clock.now()) for one in domains),
            *(_user(one) for one in users),
        )
    )


def _domain(domain: google_world.Domain, now: float) -> str:
    name = escape(domain.name)
    verified = "verified" if google_world.is_verified(domain, now) else "not verified"
    if domain.dkim is None:
        return f"<h3>{name}</h3><p>{verified}, no DKIM key</p>{_button('dkim', 'domain', name, 'Generate new record')}"
    text = f"<p>{escape(domain.dkim.selector)}._domainkey, TXT:</p><pre>{escape(domain.dkim.txt)}</pre>"
    if domain.dkim.started_at is not None:
        return f"<h3>{name}</h3><p>{verified}, authenticating email</p>{text}"
    return f"<h3>{name}</h3><p>{verified}</p>{text}{_button('start', 'domain', name, 'Start authentication')}"


def _user(user: google_world.User) -> str:
    address, newest = escape(user.address), user.app_passwords[-1].value if user.app_passwords else ""
    state = ", ".join(("suspended" if user.suspended else "active", f"IMAP {'on' if user.imap else 'off'}"))
    shown = f"<p>Newest app password: <code>{newest}</code></p>" if newest else ""
    button = _button("app-password", "address", address, f"Make an app password for {address}")
    return f"<h3>{address}</h3><p>{state}</p>{shown}{button}"


def _button(action: str, name: str, value: str, words: str) -> str:
    return (
        f'<form method="post" action="/google/{action}"><input type="hidden" name="{name}" value="{value}">'
        f"<button>{words}</button></form>"
    )

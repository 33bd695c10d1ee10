"""Names a person may type, judged before any platform sees them. Pure: no Django, no HTTP.

Every refusal and warning is a `Sentence`: an English template plus its parameters, so that a page can translate the
template and an API can send the code. `str(sentence)` is the English text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

SOLD_ENDINGS: tuple[str, ...] = ("com", "net", "org", "biz", "live", "info")
MAX_LABEL = 63  # RFC 1035, 2.3.4
MAX_USERNAME = 64  # RFC 5321, 4.5.3.1.1
MAX_PERSON_NAME = 60
MAILBOXES_PER_DOMAIN = 5  # Zapmail's total per domain; an installation may lower it
HYPHEN_CLUSTER = 2


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RESERVED_USERNAMES = _words(
    # RFC 2142's operational addresses, and names that mail servers and Google keep for themselves.
    "abuse admin administrator bounce bounces daemon dmarc ftp hostmaster listserv mail mailer-daemon mailerdaemon "
    "majordomo news no-reply no_reply no.reply nobody noc noreply postmaster root security spam ssl-admin ssladmin "
    "ssladministrator sysadmin system usenet uucp webmaster www"
)

KNOWN_BRANDS = _words(
    "adobe airbnb amazon anthropic apple atlassian chatgpt cloudflare coinbase docusign dropbox facebook fedex github "
    "gmail godaddy google hubspot instagram linkedin mailchimp mastercard microsoft netflix nvidia openai oracle "
    "outlook paypal pinterest salesforce samsung shopify slack spotify stripe tesla tiktok twitter visa walmart "
    "whatsapp youtube zoom"
)

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_ENDING = re.compile(r"[a-z][a-z0-9-]*")
_USERNAME_CHARACTER = re.compile(r"[a-z0-9._-]")
_SEPARATORS = "._-"
_LOOKS_LIKE = str.maketrans({"0": "o", "1": "l", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "-": ""})


def gettext_noop(message: str) -> str:
    """Mark a sentence for the translators' tools without importing Django."""
    return message


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something to tell a person: a stable code, an English template, and the values that fill it."""

    code: str
    template: str
    params: Mapping[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.template % self.params if self.params else self.template


class Refused(ValueError):
    """Input that cannot be used, with the sentence that says why and what to do."""

    def __init__(self, code: str, template: str, **params: str | int) -> None:
        self.sentence = Sentence(code, template, params)
        super().__init__(str(self.sentence))

    @property
    def code(self) -> str:
        return self.sentence.code


class NameRefused(Refused):
    """A domain name that cannot be ordered."""


class UsernameRefused(Refused):
    """A mailbox pattern or a sender name that the platforms would not take."""


# Domains ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DomainName:
    """A domain that can be asked for. `name` is canonical: lower case ASCII, `label.ending`."""

    name: str
    label: str
    ending: str
    warnings: tuple[Sentence, ...] = ()

    def __str__(self) -> str:
        return self.name


def parse_domain(text: str, *, sold: Collection[str] = SOLD_ENDINGS, main_domain: str = "") -> DomainName:
    """Understand what a person typed as a domain: an address with scheme and path, capitals, spaces, an e-mail address.

    `sold` are the endings that can be bought; `main_domain` is the student's own business domain, for the warning.
    Raises NameRefused with the reason.
    """
    name = _host(text)
    if not name.isascii() or any(part.startswith("xn--") for part in name.split(".")):
        raise NameRefused(
            "idn",
            gettext_noop(
                "Names with accents or other scripts cannot be ordered here, because many mail systems distrust them. "
                "Use the letters a to z, digits and hyphens."
            ),
        )
    label, ending = _split(name, sold)
    return DomainName(name, label, ending, tuple(_warnings(name, label, main_domain)))


def _host(text: str) -> str:
    """Return the host part of `text`, lower case, without scheme, user, port, path, `www.` and trailing dot."""
    plain = unicodedata.normalize("NFKC", text)
    visible = "".join(c for c in plain if c.isspace() or unicodedata.category(c) not in ("Cf", "Cc"))
    words = [word for word in re.split(r"[\s,;]+", visible.lower()) if word]
    if not words:
        raise NameRefused("empty", gettext_noop("Type a domain name, for example getacme.com."))
    if sum("." in word.strip(".") for word in words) > 1:
        raise NameRefused("several", gettext_noop("Type one domain name at a time."))
    host = re.sub(r"^([a-z][a-z0-9+.-]*:)?//", "", "".join(words))
    host = re.split(r"[/?#\\]", host, maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
    return host.replace("。", ".").strip(".").removeprefix("www.")


def _split(name: str, sold: Collection[str]) -> tuple[str, str]:
    """Return label and ending of an ASCII host, or raise the reason why it cannot be a domain to order."""
    parts = name.split(".")
    label, ending = parts[-2] if len(parts) > 1 else parts[0], parts[-1]
    if not name or not all(parts):
        raise NameRefused(
            "malformed",
            gettext_noop("This does not read as a domain name. Example: getacme.com."),
        )
    if len(parts) == 1:
        if _LABEL.fullmatch(label) and len(label) <= MAX_LABEL:
            raise NameRefused(
                "no_ending",
                gettext_noop("Add an ending, for example %(name)s.com."),
                name=label,
            )
        raise NameRefused(
            "malformed",
            gettext_noop("This does not read as a domain name. Example: getacme.com."),
        )
    if ending not in sold:
        if not _ENDING.fullmatch(ending):
            raise NameRefused(
                "malformed",
                gettext_noop("This does not read as a domain name. Example: getacme.com."),
            )
        raise NameRefused(
            "unsold",
            gettext_noop("Names ending in .%(ending)s are not sold here. You can order %(sold)s."),
            ending=ending[:MAX_LABEL],
            sold=", ".join(f".{one}" for one in sold),
        )
    if len(label) > MAX_LABEL:
        raise NameRefused(
            "too_long",
            gettext_noop("The part before .%(ending)s may have %(limit)s characters at most; this has %(length)s."),
            ending=ending,
            limit=MAX_LABEL,
            length=len(label),
        )
    if not all(_LABEL.fullmatch(part) for part in parts[:-1]) or label[2:4] == "--":
        raise NameRefused(
            "characters",
            gettext_noop(
                "A domain name has letters, digits and hyphens only, and neither begins nor ends with a hyphen."
            ),
        )
    if len(parts) > 2:
        raise NameRefused(
            "subdomain",
            gettext_noop("%(name)s is part of another domain. Type the domain itself: %(domain)s."),
            name=name[:MAX_LABEL],
            domain=f"{label}.{ending}",
        )
    return label, ending


def _warnings(name: str, label: str, main_domain: str) -> list[Sentence]:
    found = []
    if main_domain and name == _canonical_main(main_domain):
        found.append(
            Sentence(
                "main_domain",
                gettext_noop(
                    "%(name)s looks like your main business domain. Cold e-mail can harm its reputation; "
                    "most teams send from a separate name."
                ),
                {"name": name},
            )
        )
    if brand := _resembles(label):
        found.append(
            Sentence(
                "look_alike",
                gettext_noop(
                    "%(name)s resembles the brand “%(brand)s”. Filters treat look-alikes as phishing, "
                    "and the owner can claim the name."
                ),
                {"name": name, "brand": brand},
            )
        )
    if label.count("-") >= HYPHEN_CLUSTER:
        found.append(
            Sentence(
                "hyphens",
                gettext_noop("%(name)s has several hyphens, which spam filters dislike. One at most is safer."),
                {"name": name},
            )
        )
    return found


def _canonical_main(main_domain: str) -> str:
    try:
        return _host(main_domain)
    except NameRefused:
        return ""


def _resembles(label: str) -> str:
    """Return the known brand that `label` imitates or contains, or an empty string."""
    plain = label.replace("-", "")
    seen = label.translate(_LOOKS_LIKE).replace("rn", "m").replace("vv", "w")
    for brand in sorted(KNOWN_BRANDS):
        if brand in (plain, seen):
            return brand
        if len(brand) >= 6 and (brand in plain or brand in seen or _one_edit_apart(seen, brand)):
            return brand
    return ""


def _one_edit_apart(first: str, second: str) -> bool:
    """Whether one insertion, deletion, replacement or swap of neighbours turns one word into the other."""
    if abs(len(first) - len(second)) > 1 or first == second:
        return False
    start = 0
    while start < min(len(first), len(second)) and first[start] == second[start]:
        start += 1
    rest, other = first[start:], second[start:]
    swapped = len(rest) > 1 and rest[1] + rest[0] + rest[2:] == other
    return swapped or rest[1:] == other[1:] or rest[1:] == other or rest == other[1:]


# Mailboxes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """One planned mailbox. `position` is the pattern's index and with it the order within the domain."""

    username: str
    domain: str
    position: int

    @property
    def address(self) -> str:
        return f"{self.username}@{self.domain}"


@dataclass(frozen=True, slots=True)
class PatternVerdict:
    """What became of one typed pattern: `username` when it can be used, else `reason`."""

    typed: str
    username: str = ""
    reason: Sentence | None = None


def parse_username(text: str) -> str:
    """Return the mailbox name meant by `text`: outer spaces dropped, lower case, accents folded (é becomes e).

    Enforces Zapmail's rules: letters, digits and single separators `. _ -` inside only. Raises UsernameRefused.
    """
    typed = text.strip()
    if not typed:
        raise UsernameRefused("empty", gettext_noop("Type a name, for example tim or tim.keen."))
    if "@" in typed:
        raise UsernameRefused(
            "at",
            gettext_noop("Type only the part before the @. Your domains are added to it for you."),
        )
    name = fold(typed)
    if re.search(r"\s", name):
        raise UsernameRefused(
            "space",
            gettext_noop("An address has no spaces. Try %(suggestion)s."),
            suggestion=re.sub(r"\s+", ".", name)[:MAX_USERNAME],
        )
    if strange := next((c for c in name if not _USERNAME_CHARACTER.fullmatch(c)), ""):
        raise UsernameRefused(
            "characters",
            gettext_noop("“%(character)s” cannot be used. Use letters, digits, and . _ - between them."),
            character=strange if strange.isprintable() else "�",
        )
    if name[0] in _SEPARATORS or name[-1] in _SEPARATORS:
        raise UsernameRefused("edge", gettext_noop("The name may neither begin nor end with . _ or -."))
    if re.search(r"[._-]{2}", name):
        raise UsernameRefused("doubled", gettext_noop("Two of . _ - may not stand next to each other."))
    if len(name) > MAX_USERNAME:
        raise UsernameRefused(
            "too_long",
            gettext_noop("The name may have %(limit)s characters at most; this has %(length)s."),
            limit=MAX_USERNAME,
            length=len(name),
        )
    if name in RESERVED_USERNAMES:
        raise UsernameRefused(
            "reserved",
            gettext_noop("“%(name)s” is reserved on every mail server. Use a person's name."),
            name=name,
        )
    return name


def fold(text: str) -> str:
    """Lower case without accents: `Zoë` becomes `zoe`, `Straße` becomes `strasse`. Other scripts stay as they are."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def judge_patterns(typed: Sequence[str]) -> list[PatternVerdict]:
    """Judge each pattern by itself and against the earlier ones: they must differ after normalising."""
    verdicts: list[PatternVerdict] = []
    seen: set[str] = set()
    for text in typed:
        try:
            name = parse_username(text)
            if name in seen:
                raise UsernameRefused(
                    "equal",
                    gettext_noop("This is the same address as another one: both read %(name)s."),
                    name=name,
                )
        except UsernameRefused as refusal:
            verdicts.append(PatternVerdict(text, reason=refusal.sentence))
            continue
        seen.add(name)
        verdicts.append(PatternVerdict(text, username=name))
    return verdicts


def parse_person_name(text: str) -> str:
    """Return a first or last name as recipients will see it, with single spaces. Raises UsernameRefused."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise UsernameRefused("empty", gettext_noop("Type the name that recipients should see."))
    if len(name) > MAX_PERSON_NAME:
        raise UsernameRefused(
            "too_long",
            gettext_noop("The name may have %(limit)s characters at most; this has %(length)s."),
            limit=MAX_PERSON_NAME,
            length=len(name),
        )
    if not any(c.isalpha() for c in name):
        raise UsernameRefused("no_letter", gettext_noop("A name needs at least one letter."))
    if strange := next((c for c in name if not _in_a_name(c)), ""):
        raise UsernameRefused(
            "characters",
            gettext_noop("“%(character)s” cannot stand in a sender name."),
            character=strange if strange.isprintable() else "�",
        )
    return name


def _in_a_name(character: str) -> bool:
    # Marks and letters of any script, and what stands in real names: O'Neill, Jean-Luc, J. R., Smith 3rd.
    return unicodedata.category(character)[0] in "LMN" or character in " '’.-"


def spread(mailboxes: int, domains: int) -> tuple[int, ...]:
    """Spread mailboxes over domains as evenly as possible, the fuller domains first: 11 on 5 is 3, 2, 2, 2, 2."""
    if mailboxes < 0 or domains < 0:
        raise ValueError("counts cannot be negative")
    if domains == 0:
        return ()
    each, rest = divmod(mailboxes, domains)
    return tuple(each + (index < rest) for index in range(domains))


def patterns_needed(mailboxes: int, domains: int) -> int:
    """How many different patterns the fullest domain takes."""
    return max(spread(mailboxes, domains), default=0)


def plan_addresses(patterns: Sequence[str], domains: Sequence[str], mailboxes: int) -> list[Address]:
    """Every address that `patterns` make on `domains`, in the domains' order.

    Raises ValueError when there are fewer patterns than the fullest domain needs: a plan never drops a mailbox.
    """
    counts = spread(mailboxes, len(domains))
    if max(counts, default=0) > len(patterns):
        raise ValueError(f"{max(counts)} patterns are needed, {len(patterns)} given")
    return [
        Address(username, domain, position)
        for domain, count in zip(domains, counts, strict=True)
        for position, username in enumerate(patterns[:count])
    ]

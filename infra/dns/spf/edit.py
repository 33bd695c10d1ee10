"""Changes of a published record: one record stays one record, and what would break it is refused."""

from __future__ import annotations

from ..resolver import Resolver
from .evaluate import MOST_LOOKUPS
from .syntax import parse
from .tree import Tree, grow


class CannotEdit(ValueError):
    """The change would break the record. `tree` shows what it would lead to."""

    def __init__(self, sentence: str, tree: Tree) -> None:
        self.tree = tree
        super().__init__(sentence)


def with_include(text: str, target: str) -> str:
    """Return a record that also includes `target`, before `all` or `redirect`; the rest stays as it stands.

    An empty text makes a new record. Raises SpfSyntax.
    """
    if not text:
        return f"v=spf1 include:{target} ~all"
    policy, words = parse(text), [word for word in text.split(" ") if word]
    if any(one.name == "include" and one.domain.lower().rstrip(".") == target for one in policy.decisive):
        return text
    ends = [one for one in (*policy.decisive, policy.redirect) if one and one.name in ("all", "redirect")]
    place = words.index(ends[0].text) if ends else len(words)
    return " ".join([*words[:place], f"include:{target}", *words[place:]])


def add_include(domain: str, text: str, target: str, resolver: Resolver) -> str:
    """Return the record with `target` included. Raises SpfSyntax, or CannotEdit where receivers would refuse the result."""
    changed = with_include(text, target)
    tree = grow(domain, resolver, text=changed)
    if not tree.was_read_whole:
        raise CannotEdit("not every name server that the record leads to has answered", tree)
    if not tree.is_usable:
        worst = next(one for one in tree.findings if one.id == "spf-lookups" or str(one.level) == "error")
        raise CannotEdit(f"it would need {tree.lookups} of {MOST_LOOKUPS} look-ups: {worst.said}", tree)
    return changed

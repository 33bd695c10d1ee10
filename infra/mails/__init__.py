"""Mails: `contents` says what each says, `outbox` sends each once."""

from .outbox import drain, is_due

__all__ = ["drain", "is_due"]

"""The four pages of an order: package, domains, mailboxes, review. A draft row keeps what was said on each."""

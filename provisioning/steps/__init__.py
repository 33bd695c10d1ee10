"""What a stack's steps do: one module per subject, functions that look, act through the ledger and return an outcome."""

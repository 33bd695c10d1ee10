"""Bugs put in on purpose, one at a time: `make mutants`. Each must be caught by the test that is meant for it."""

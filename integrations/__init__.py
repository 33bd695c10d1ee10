"""Talks to platforms. Knows nothing of orders, runs or Django models."""

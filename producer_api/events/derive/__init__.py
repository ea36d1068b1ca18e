"""Derivation: fills fields that an event does not carry from its request (ADR 64)."""

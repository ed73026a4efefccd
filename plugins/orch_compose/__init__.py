"""Reads Compose files."""

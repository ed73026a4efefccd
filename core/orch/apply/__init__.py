"""Carrying a plan out: order, waiting, retry, rollback, releases and the lock."""

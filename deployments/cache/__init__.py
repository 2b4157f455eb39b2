"""Looks into the cache of one deployment: its entries, its counters, what it saves."""

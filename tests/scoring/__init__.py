"""Tests of the scoring server: real processes, a real Redis, real HTTP."""

"""The scoring server: answers requests with an uploaded model, from a Redis cache where it can."""

SCORING_VERSION = "1"

"""Bounds on what users may ask for, in one place."""

MAX_REQUIREMENTS = 200
MAX_REQUIREMENT_LENGTH = 400
MAX_TAGS = 15  # Azure Cache for Redis takes at most 15 tags that we may set beside our own
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 256
MAX_TTL_SECONDS = 366 * 24 * 3600
MIN_CACHE_MB = 8
MAX_CACHE_MB = 16 * 1024
MAX_BODY_BYTES = 100 * 1024 * 1024  # the Functions host's own request limit
MAX_ROWS = 1_000_000
MAX_INSTANCES = 32
MAX_LOG_LINE = 8_192
MAX_LOCAL_CACHE_MB = 1_024
MAX_KEEP_DAYS = 366
MAX_PREDICT_SECONDS = 230  # Azure's load balancer gives up on a request then

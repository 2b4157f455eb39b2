"""The product: models put into production as functions behind a cache, described, planned, run and watched."""

"""A real browser against a real console: broker, workers, beat and web server as bin/up starts them."""

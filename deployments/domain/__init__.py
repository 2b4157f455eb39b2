"""Pure Python and pydantic: what a deployment is, what may happen to it, and the words every layer shares."""

"""How fast the scoring server is, beside what else a model could be served with: `benchmarks/run`."""

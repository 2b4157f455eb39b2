"""Plans and runs: one visit at a time, safe to kill anywhere."""

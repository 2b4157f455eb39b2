"""The verbs that every door uses; each asks the policy and writes the audit trail."""

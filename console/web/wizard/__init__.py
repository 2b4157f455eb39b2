"""The wizard: a draft filled in step by step, reviewed with its plan, and deployed in one go."""

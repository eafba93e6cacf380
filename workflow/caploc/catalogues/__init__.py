"""What a configuration may hold beside experiments: what exists by id, and the run."""

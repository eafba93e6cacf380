"""Silence located neurons and others (Table 3), also across tasks (Fig. 4)."""

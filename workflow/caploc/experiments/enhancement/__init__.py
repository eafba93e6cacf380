"""Train located neurons and others (Table 2), and test the other tasks (Fig. 4)."""

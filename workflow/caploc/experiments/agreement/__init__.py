"""Do two halves of a task locate the same neurons, and do two tasks (Table 1)?"""

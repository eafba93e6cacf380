"""What a run costs before it runs: operations, time, memory, disk, from its configuration alone."""

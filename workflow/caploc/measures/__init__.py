"""Arrays and tables in, numbers out; no files, no torch: agreement, statistics, random sets."""

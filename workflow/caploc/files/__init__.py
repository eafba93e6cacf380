"""What lies on disk, written whole or not at all: tables, scores, masks, located sets."""

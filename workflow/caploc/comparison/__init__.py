"""Two runs side by side: their settings, and every number that both have."""

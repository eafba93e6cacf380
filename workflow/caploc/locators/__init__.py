"""One file per way to locate units of a model for a sample or a data set."""

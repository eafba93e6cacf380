"""Rows of a data set to samples, splits and scores of answers: what tasks and facts share."""

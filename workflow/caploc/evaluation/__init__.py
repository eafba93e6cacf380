"""What a model can do: greedy answers and their scores."""

"""The embedded model: its text, its tokenizer and its training."""

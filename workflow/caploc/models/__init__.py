"""Decoders and their tokenizers: loading, what every family offers, placement on devices."""

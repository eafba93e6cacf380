"""Tables in, one self-contained HTML page out; nothing is computed here."""

"""The attribution engine: exact integrated gradients of FFN neurons with a shared prefix."""

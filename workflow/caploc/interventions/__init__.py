"""Ways to act on chosen neurons of a model, and the random sets they are compared with."""

"""Pairs from derivatives that come in another form than a forward and a backward pass."""

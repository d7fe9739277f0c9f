"""The contract around a backward pass: what must hold whatever the numbers are."""

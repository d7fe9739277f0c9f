"""Hand-derived cells, each a module of its own with its pairs at module level."""

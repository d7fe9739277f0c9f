"""Old against new: two pairs that should compute the same, and gradients recorded from code that was right."""

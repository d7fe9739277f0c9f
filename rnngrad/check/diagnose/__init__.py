"""From wrong numbers to words: the simplest thing that explains a wrong gradient within the bars."""

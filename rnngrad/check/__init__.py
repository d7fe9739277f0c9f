"""From a pair and a case to a report."""

"""Renderers: a report in, text out. What to say is decided before; here it is laid out."""

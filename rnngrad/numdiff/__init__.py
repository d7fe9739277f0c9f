"""Numerical derivatives that know their own error; everything here works on flat vectors."""

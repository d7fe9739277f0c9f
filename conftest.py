"""Hypothesis profiles for this project's own tests: `dev` by default, `ci` where CI is set."""

import os

from hypothesis import settings

from rnngrad.strategies import register_profiles

register_profiles()
settings.load_profile("ci" if os.environ.get("CI") else "dev")

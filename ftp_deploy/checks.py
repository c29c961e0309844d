"""System checks, each with a stable id."""

"""Second moments in rows and columns."""

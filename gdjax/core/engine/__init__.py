"""The engine: gradient transformations, chains, and their structure."""

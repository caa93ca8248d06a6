"""The pytest plugin of temporal-lint. It has no fixtures and no guards yet."""

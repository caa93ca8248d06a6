"""The entry point that pytest loads. It registers nothing yet, and imports nothing so that loading it is free."""

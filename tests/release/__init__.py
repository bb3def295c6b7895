"""The release: its files are built, looked into and installed; its dependencies' licences listed."""

"""The release: files are built, looked into and installed; licences of dependencies are listed."""

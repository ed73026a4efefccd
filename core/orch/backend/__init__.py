"""The contract between core and its plugins, and how plugins are found."""

"""Several backends side by side for one application."""

"""From an application to a platform's own words, with an account of every field."""

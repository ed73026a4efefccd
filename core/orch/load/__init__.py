"""From files to an application: reading, interpolation, overlays, validation."""

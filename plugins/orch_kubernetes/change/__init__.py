"""What a deploy does to a cluster: dry runs, applying, removals, and the record of it."""

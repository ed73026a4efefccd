"""From a spec to objects: one file for each part of a pod, and for each kind beside it."""

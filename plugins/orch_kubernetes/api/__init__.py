"""The API itself: its client, kinds, faults, marks and watches, and the form of what is sent."""

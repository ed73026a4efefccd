"""What others made: whose an object is, and what runs as a spec."""

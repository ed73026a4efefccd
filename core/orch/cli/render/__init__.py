"""What a person or a program sees: reports, live views and the shapes of machine output."""

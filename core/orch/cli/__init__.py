"""The command line: one small file a verb, rendering apart from doing."""

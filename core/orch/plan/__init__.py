"""What a deploy would do: snapshots, differences, the graph of actions, the plan file."""

"""The balancing proxy: a process of its own, so that connections outlive the agent."""

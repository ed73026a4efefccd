"""What runs: health, rollouts, verdicts of controllers, logs and ports."""

"""What scripts/bench runs: contenders side by side, interleaved rounds, a table with ratios, JSON and a chart."""

"""What sums of outcomes say: differences, the planned test, intervals at any time, verdicts."""

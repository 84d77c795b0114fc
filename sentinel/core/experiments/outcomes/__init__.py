"""What is kept of outcomes: sums from which every comparison follows, and none of the rows."""

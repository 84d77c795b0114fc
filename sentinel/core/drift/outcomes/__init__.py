"""How good decisions are: known of examples, estimated before, and what a change costs."""

"""What a window says beside its reference: what changed, how, and why."""

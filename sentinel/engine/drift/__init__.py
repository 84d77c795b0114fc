"""From summaries to alarms: what is watched where the control plane is."""

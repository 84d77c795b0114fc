"""A model update, from new examples to a champion that is watched."""

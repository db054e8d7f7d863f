"""Results: what a stage found, as a typed record that everything else reads."""

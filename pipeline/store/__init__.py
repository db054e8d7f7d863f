"""Features on disk: the row cache and the published feature files."""

"""Pool5 beside what people use instead, and beside the limit: the same work, in one run, in turns."""

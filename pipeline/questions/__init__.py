"""Questions to a project's store: the same for the shell, Python, HTTP and agents."""

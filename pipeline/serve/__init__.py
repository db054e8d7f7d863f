"""The service: a project's store over HTTP, and the page to ask it with."""

"""The farm over HTTP: `create_app` makes the server, `ApiClient` speaks to it."""

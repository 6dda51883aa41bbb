"""The service over HTTP: sockets, parsing, routes, the page. Models run elsewhere (`engine`)."""

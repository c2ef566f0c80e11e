"""The Container Storage Interface: messages, drivers in this process and behind a socket, errors."""

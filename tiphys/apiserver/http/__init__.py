"""HTTP/1.1 and WebSocket connections of clients, and the limits of what they may hold."""

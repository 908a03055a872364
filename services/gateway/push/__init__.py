"""Speech pushed to somebody else's WebSocket server while it is being spoken."""

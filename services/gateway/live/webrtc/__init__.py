"""A live film watched over WebRTC: WHEP viewers, each with a connection of its own."""

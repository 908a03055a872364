"""Speech over WebSockets, as ElevenLabs' clients ask for it."""

"""Speech into telephone calls, over Twilio's Media Streams."""

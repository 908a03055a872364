"""The gateway: the public API. It cuts text, orders work and passes bytes; it never decodes a frame."""

"""The avatar service: speech in, a segment of talking-head video out."""

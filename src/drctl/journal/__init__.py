"""Events to bytes that can be trusted later."""

"""The HTTP service: one router per resource."""

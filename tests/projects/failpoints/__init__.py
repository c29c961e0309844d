"""An app that ends its own process at a chosen moment, for processes that tests start."""

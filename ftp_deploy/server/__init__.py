"""The optional browser dashboard: urls, forms, views, templates, static files; no models."""

"""Model versions: trained, brought, tried, looked at, promoted."""

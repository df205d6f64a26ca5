"""What ``compare``, ``explain`` and ``export`` do, which train nothing."""

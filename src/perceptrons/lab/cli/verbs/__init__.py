"""What ``explain`` and ``export`` do, which train nothing."""

"""The lab: trustworthy runs, studies, figures and sweeps for any network."""

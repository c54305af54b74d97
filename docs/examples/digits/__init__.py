"""The steps of docs/examples/demo.py: one file per idea, one small function per answer."""

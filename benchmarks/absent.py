r"""What it means that data are not there."""


class Absent(ValueError):
    r"""Data that are not there; the message says what is missing, or how to get it.

    Any other error means that they are there and broken.
    """

"""The one error that a user of this package can cause and can repair."""


class DataError(Exception):
    """A file or a setting does not hold what it should. The message names the file, the id or row, and the reason."""

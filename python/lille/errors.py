"""Exceptions of the library: each is an Error and what Python calls such a thing."""


class Error(Exception):
    """Any error of the library; its message says what was expected, what was found and what to do."""


class InvalidArgumentError(Error, ValueError):
    """An argument is wrong, or shapes do not fit each other."""


class UnsupportedError(Error, NotImplementedError):
    """Valid, but not something this build or machine can do."""


class NotFoundError(Error, FileNotFoundError):
    """A file, folder, tensor or name does not exist."""


class CorruptFileError(Error, OSError):
    """A file's content contradicts its format."""


class FileError(Error, OSError):
    """The operating system refused to read or write."""


class OutOfMemoryError(Error, MemoryError):
    """Memory could not be had."""


class CanceledError(Error):
    """An answer was interrupted before; make a new one."""


class InternalError(Error, RuntimeError):
    """A broken invariant of the library itself."""

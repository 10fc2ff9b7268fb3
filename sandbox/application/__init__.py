"""The stand-in for GitHub's runner application: its interface, in POSIX shell."""

from sandbox.application.package import VERSION, Application, build_application

__all__ = ["VERSION", "Application", "build_application"]

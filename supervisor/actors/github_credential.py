"""Who asks on a line to GitHub: a part of the tokens actor, in its thread."""

from loguru import logger

from supervisor.config import Config, credentials
from supervisor.github.session import Session


class CredentialInUse:
    """The credential that is configured, as its file holds it now.

    Args:
        config: tells where it is.

    Attributes:
        session: of the one last read; None if there is none, or it could not be read.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stamp: object = None
        self._is_kept = False
        self.session: Session | None = None

    def read(self) -> Session:
        """Give the session of the credential as it is now: another one for another credential.

        Raises:
            ConfigError: it can't be read.
        """
        if self.session is not None and self._is_kept:
            return self.session
        stamp = credentials.stamp(self._config)
        if self.session is None or stamp != self._stamp:
            self._stamp = stamp
            before, self.session = self.session, None
            credential = credentials.read(self._config)
            if before is None or credential != before.credential:
                logger.info("GitHub is asked with the {}", credential.kind)
                before = Session(credential)
            self.session = before
        return self.session

    def keep(self) -> None:
        """Go on with the one in use, whatever its file holds, until `reconfigure`."""
        self._is_kept = True

    def reconfigure(self, config: Config) -> None:
        """Use another one from the next request on."""
        self._config = config
        self._stamp = None
        self._is_kept = False

    def may_have_changed(self) -> bool:
        """Tell whether its file is another than the one in use."""
        return credentials.stamp(self._config) != self._stamp

"""What the daemon keeps current by itself: looked for, verified, and only then switched to."""

import secrets
from dataclasses import asdict

from supervisor.actors.application_upgrade import ApplicationUpgrade, Verified
from supervisor.actors.host_upgrade import HostUpgrade
from supervisor.actors.package_upgrade import PackageNews, PackageUpgrade
from supervisor.actors.upgrade_schedule import LookDue, Subject, Surroundings
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.tokens import ApplicationNotOffered, ApplicationOffered
from supervisor.messages.upgrades import (
    AnnounceApplication,
    AnnouncePolicyPackage,
    CheckUpgrades,
    GitHubReachable,
    PolicyPackageFailed,
    PolicyPackageProven,
    UpgradesOrdered,
)
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.upgrades import in_words, warnings
from supervisor.work.application import NotObtained, Obtained
from supervisor.work.host import HostLooked
from supervisor.work.package import FellBack, PackageNotReady, PackageReady
from supervisor.workers import WorkFailed

_SHOW_S = 1.0


class _Show:
    """Something that takes long has got further."""


class UpgradesActor(Actor):
    """Looks for newer versions, and tells who uses them when one is verified.

    Each of its subjects is an object of its own, with its own looks, attempts and words; the actor
    hands on what it is told, and publishes how they stand.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        # An earlier incarnation had other counts.
        self._incarnation = secrets.token_hex(4)
        self._notes = parts.upgrade_notes
        around = Surroundings(parts, system, self.actor_ref, self.tell_after)
        self._application = ApplicationUpgrade(around)
        self._package: PackageUpgrade | None = None
        self._host = HostUpgrade(around)
        self._subjects: tuple[Subject, ...] = (self._application, self._host)
        if parts.settings.config.policy.mode == "package":  # it stays so while the daemon runs
            self._package = PackageUpgrade(around)
            self._subjects += (self._package,)
        self._refresh: Timer | None = None

    def on_start(self) -> None:
        """Look at what there is, and for what is newer."""
        for subject in self._subjects:
            subject.start()
        self._show()

    @handles(CheckUpgrades)
    def _check(self, order: CheckUpgrades) -> UpgradesOrdered:
        for subject in self._subjects:
            subject.order(order)
        self._show()
        done_by = {subject.what: subject.looks.done_by for subject in self._subjects}
        return UpgradesOrdered(done_by, self._incarnation)

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        """Look anew: the place, the credential or the proxies may be others."""
        self._check(CheckUpgrades(why="the configuration has changed"))

    @handles(LookDue)
    def _look_due(self, message: LookDue) -> None:
        message.subject.look()
        self._show()

    @handles(GitHubReachable)
    def _github_reachable(self, _message: GitHubReachable) -> None:
        self._application.ask_again()
        self._show()

    @handles(AnnounceApplication)
    def _announce_application(self, _message: AnnounceApplication) -> None:
        self._application.announce()

    @handles(Verified, ApplicationOffered, ApplicationNotOffered, Obtained, NotObtained)
    def _application_news(
        self,
        news: Verified | ApplicationOffered | ApplicationNotOffered | Obtained | NotObtained,
    ) -> None:
        self._application.take(news)
        self._show()

    @handles(
        AnnouncePolicyPackage,
        PackageReady,
        PackageNotReady,
        PolicyPackageFailed,
        PolicyPackageProven,
        FellBack,
    )
    def _package_news(self, news: PackageNews) -> None:
        if self._package:
            self._package.take(news)
            self._show()

    @handles(HostLooked)
    def _host_looked(self, found: HostLooked) -> None:
        self._host.take(found)
        self._show()

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    # What people see.

    @handles(_Show)
    def _show_again(self, _message: _Show) -> None:
        self._refresh = None
        self._show()

    def _show(self) -> None:
        standings = [subject.standing() for subject in self._subjects]
        state, reason = in_words(standings)
        reboot_for = self._host.reboot_for
        self.publish(
            state,
            reason,
            subjects=standings,
            warnings=(*warnings(standings), *filter(None, (self._notes.warning,))),
            reboot_for=asdict(reboot_for) if reboot_for else None,
            incarnation=self._incarnation,
        )
        is_looking = any(subject.looks.under_way for subject in self._subjects)
        if (state == "upgrading" or is_looking) and self._refresh is None:
            self._refresh = self.tell_after(_SHOW_S, _Show())

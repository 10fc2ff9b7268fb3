"""What runners start from: an image that is prepared already, or one that is built and kept new."""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from loguru import logger

from supervisor.actors.image_errands import Errands, Step
from supervisor.actors.image_tries import Tries
from supervisor.config import Config
from supervisor.images.choice import Wish, choose, is_probe_due
from supervisor.images.needs import Needs
from supervisor.images.properties import BuiltImage
from supervisor.images.report import Standing, images_report
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.firewall import AnnounceFirewall, FirewallChanged
from supervisor.messages.image import (
    AnnounceImage,
    BuildImage,
    BuildOrdered,
    BuildRefused,
    ImageChanged,
)
from supervisor.messages.signals import AnnounceSignals, SignalsListening
from supervisor.messages.storage import AnnounceStorage, StorageChanged
from supervisor.messages.upgrades import AnnounceApplication, ApplicationChanged
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, handles
from supervisor.upgrades.application import Application
from supervisor.work.image import ImageFailed, ImageReady, Look
from supervisor.work.image_upkeep import Listed, Resolved, Tidied, Unseen
from supervisor.workers import Work, WorkFailed

_MINUTE = timedelta(minutes=1)
_SOON = timedelta(seconds=2)


class _Task(Enum):
    """What a worker may be at, in the order in which it is begun."""

    TEND = 1
    LOOK = 2
    BUILD = 3


class _Minute:
    """A minute has passed."""


class _SightDue:
    """It is time to see again which images there are."""


class _LookDue:
    """It is time for a look."""


class ImageActor(Actor):
    """Tells the fleet which image runners start from; without one no runner is made.

    Which images there are, or what the alias of a prepared one means, it *sees* at any time: LXD is
    only asked, in the thread for listings. What else it does may take an hour, has a thread of its
    own, and one piece of it is under way at most. *Tending* removes what is not needed; a *look*
    finds out what is wanted, from the base image, the runner application and the configuration; a
    *build* makes it. What fails leaves the image in use, and comes again. LXD's images are the only
    record: what an earlier incarnation has ordered is done before anything else in that thread, and
    found then. Meanwhile runners start from what there is.

    What was found or built for a configuration or an application of before is not used: whether it
    is what is wanted now only another look says.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._incarnation = secrets.token_hex(4)
        self._errands = Errands(parts, self.actor_ref)
        self._needs = Needs()
        self._told = ImageChanged(reason="there is no image to start from: none was looked for yet")
        self._images: tuple[BuiltImage, ...] = ()
        self._seeing: tuple[Config, int] | None = None
        self._outcomes = 0
        self._sight = Tries(self, _SightDue())
        self._due = {_Task.TEND}
        self._may_be_untidy = True
        self._task: _Task | None = None
        self._begun_for: tuple[Config, Application | None] | None = None
        self._step = ""
        self._is_probing = False
        self._probed_at: datetime | None = None
        self._orders = self._begun_orders = self._done_orders = 0
        self._work = Tries(self, _LookDue())
        self._remark = self._untidy = ""

    def on_start(self) -> None:
        """Ask for what a build needs, and look at what there is."""
        for name, order in (
            ("upgrades", AnnounceApplication()),
            ("signals", AnnounceSignals()),
            ("storage", AnnounceStorage()),
            ("firewall", AnnounceFirewall()),
        ):
            self.system.directory.tell(name, order)
        self.tell_after(_MINUTE.total_seconds(), _Minute())
        if not self._prepared:
            self._due.add(_Task.LOOK)
        self._see()
        self._proceed()

    @property
    def _prepared(self) -> str:
        """The alias of a prepared image; empty where images are built."""
        return self._parts.settings.config.lxd.image or ""

    # What changes

    @handles(AnnounceImage)
    def _announce(self, _message: AnnounceImage) -> None:
        self.system.directory.tell("fleet", self._told)

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        self._due |= {_Task.TEND, _Task.LOOK}
        if self._prepared:
            self._due -= {_Task.LOOK, _Task.BUILD}
            self._done_orders = self._orders
            self._work.succeed()
            self._work.cancel()
        self._see()
        self._proceed()

    @handles(ApplicationChanged)
    def _application_changed(self, message: ApplicationChanged) -> None:
        before, now = self._needs.application.application, message.application
        self._needs = replace(self._needs, application=message)
        if now and now != before and not self._prepared:
            self._due.add(_Task.LOOK)
        self._proceed()

    @handles(SignalsListening)
    def _signals_listening(self, message: SignalsListening) -> None:
        self._needs = replace(self._needs, signals=message.base)
        self._proceed()

    @handles(StorageChanged)
    def _storage_changed(self, message: StorageChanged) -> None:
        self._needs = replace(self._needs, storage=message)
        self._proceed()

    @handles(FirewallChanged)
    def _firewall_changed(self, message: FirewallChanged) -> None:
        self._needs = replace(self._needs, firewall=message)
        self._proceed()

    @handles(BuildImage)
    def _build_image(self, message: BuildImage) -> BuildOrdered | BuildRefused:
        if self._prepared:
            return BuildRefused(
                f"lxd.image names a prepared image, {self._prepared}, so nothing is built; leave "
                "it out to have images built"
            )
        logger.info("a new image is to be built: {}", message.why)
        self._orders += 1
        self._due.add(_Task.BUILD)
        self._proceed()
        return BuildOrdered(self._orders, self._incarnation)

    @handles(_Minute)
    def _minute_has_passed(self, message: _Minute) -> None:
        self.tell_after(_MINUTE.total_seconds(), message)
        # Somebody may have deleted the one in use, or pointed the alias at another one.
        self._see()
        if self._may_be_untidy or not self._prepared:
            self._due.add(_Task.TEND)
        self._proceed()

    @handles(_SightDue)
    def _sight_is_due(self, _message: _SightDue) -> None:
        self._see()

    @handles(_LookDue)
    def _look_is_due(self, _message: _LookDue) -> None:
        if not self._prepared:
            self._due.add(_Task.LOOK)
        self._proceed()

    # What there is

    def _see(self) -> None:
        """Ask which images there are; when that is being asked already, its answer will do."""
        if self._seeing is None:
            self._seeing = self._sighted()
            self._parts.listing.submit(self._errands.see(self._needs), self.actor_ref)

    def _sighted(self) -> tuple[Config, int]:
        """Say what an answer depends on; no work of ours changes what an alias means."""
        return self._parts.settings.config, 0 if self._prepared else self._outcomes

    @handles(Listed, Resolved, Unseen)
    def _seen(self, found: Listed | Resolved | Unseen) -> None:
        asked, self._seeing = self._seeing, None
        if asked != self._sighted():
            self._see()  # it was asked for other settings, or before the last work was done
        elif isinstance(found, Unseen):
            self._not_seen(found.failure)
        else:
            self._sight.succeed()
            self._sight.cancel()
            self._take_from(found)
        self._proceed()

    def _not_seen(self, failure: ImageFailed) -> None:
        # Of LXD's being away others tell, and an image that was there is there when it is back.
        if not (failure.outage and self._told.image):
            self._sight.note(failure)
        if self._prepared and not failure.outage:
            self._switch(ImageChanged())
        self._sight.fail(_SOON, _MINUTE)

    def _take_from(self, found: Listed | Resolved) -> None:
        config, current = self._parts.settings.config, self._told.image
        if isinstance(found, Resolved):
            kind = config.lxd.instance_type
            self._switch(ImageChanged(found.fingerprint, instance_type=kind))
            return
        self._images = found.images
        choice = choose(
            "",
            found.images,
            frozenset(),
            current,
            installation=config.name,
            instance_type=config.lxd.instance_type,
        )
        if current and choice.use != current:
            self._due.add(_Task.LOOK)  # somebody has deleted it, or other types are wanted
        self._use(choice.use)

    # What is done

    def _proceed(self) -> None:
        """Begin what is due, if nothing is under way and it can be done now."""
        for task in _Task if self._task is None else ():
            if task in self._due and (work := self._work_of(task)):
                self._due.discard(task)
                self._task, self._step, self._begun_for = task, "", self._wanted
                self._parts.building.submit(work, self.actor_ref)
                break
        self._show()

    def _work_of(self, task: _Task) -> Work | None:
        current, now = self._told.image, self._now()
        if task is _Task.TEND:
            return self._errands.tend(self._needs, current, now)
        if task is _Task.LOOK:
            return self._errands.look(self._needs, current)
        forced = self._orders > self._done_orders
        work = self._errands.build(self._needs, Wish(current, forced, self._is_probing), now)
        if work:
            self._begun_orders = self._orders
            self._probed_at = now if self._is_probing else self._probed_at
        return work

    @handles(Step)
    def _has_come_to(self, message: Step) -> None:
        if self._task is _Task.BUILD:
            self._step = message.text
            self._show()

    # How it came out

    @handles(Tidied)
    def _tidied(self, found: Tidied) -> None:
        self._has_ended()
        self._untidy = ""
        self._may_be_untidy = found.left
        if not self._prepared:
            self._see()
        self._proceed()

    @handles(Look)
    def _looked(self, look: Look) -> None:
        if self._has_ended():
            self._images = _newest_first(look.images)
            self._use(look.choice.use)
            self._is_probing = not look.choice.build and self._is_probe_due(look.chosen)
            self._work.plan(self._parts.settings.config.image_build_interval)
            self._settle(is_wanted=look.choice.build or self._is_probing)
        self._proceed()

    def _settle(self, *, is_wanted: bool) -> None:
        """Have one built if it is wanted, or ordered."""
        if not is_wanted:
            self._work.succeed()
        if is_wanted or self._orders > self._done_orders:
            self._due.add(_Task.BUILD)
        else:
            self._due.discard(_Task.BUILD)

    @handles(ImageReady)
    def _ready(self, found: ImageReady) -> None:
        if found.built:
            logger.info("image {} is built, in {:.0f} s", found.image.alias, found.took_s)
        if self._has_ended():
            others = (one for one in self._images if one.fingerprint != found.image.fingerprint)
            self._images = _newest_first((found.image, *others))
            self._remark = found.remark
            self._work.succeed()
            self._use(found.image.fingerprint)
            self._work.plan(self._parts.settings.config.image_build_interval)
        self._proceed()

    @handles(ImageFailed)
    def _failed(self, failure: ImageFailed) -> None:
        task = self._task
        is_wanted = self._has_ended()
        if task is _Task.TEND:
            self._not_tidied(failure)
        elif not self._prepared:
            # Of LXD's being away others tell, and an image that was there is there when it is back.
            if not (failure.outage and self._told.image):
                self._work.note(failure)
            if is_wanted:
                self._try_again(failure)
        self._proceed()

    def _not_tidied(self, failure: ImageFailed) -> None:
        """Note what is not removed: that is tried each minute."""
        if not failure.outage and failure.reason != self._untidy:
            logger.warning("what is not needed for images stays for now: {}", failure.reason)
        self._untidy = "" if failure.outage else failure.reason

    def _try_again(self, failure: ImageFailed) -> None:
        # A build costs minutes of a machine, a question to LXD nothing.
        longest = self._parts.settings.config.image_build_interval
        self._work.fail(*((_SOON, _MINUTE) if failure.outage else (_MINUTE, longest)))

    def _has_ended(self) -> bool:
        """Note the end of what was under way, and tell whether it was begun for what is wanted.

        If not, nothing of it counts: another look is due.
        """
        is_current = self._begun_for == self._wanted
        if self._task is _Task.BUILD:
            self._is_probing = False
            self._done_orders = max(self._done_orders, self._begun_orders)
        if self._task is not _Task.TEND and not is_current and not self._prepared:
            self._due.add(_Task.LOOK)
        self._task = self._begun_for = None
        self._outcomes += 1
        return is_current

    @property
    def _wanted(self) -> tuple[Config, Application | None]:
        """What the outcome of work depends on."""
        return self._parts.settings.config, self._needs.application.application

    def _is_probe_due(self, image: BuiltImage | None) -> bool:
        """Tell whether it is time to see if the packages of an image are the newest."""
        if image is None:
            return False
        interval = self._parts.settings.config.image_build_interval
        return is_probe_due(image, self._probed_at, self._now(), interval)

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    # What others see

    def _use(self, fingerprint: str) -> None:
        """Have runners start from one of the images that were built; from none if it is empty."""
        image = next((one for one in self._images if one.fingerprint == fingerprint), None)
        if image is None:
            self._switch(ImageChanged())
        else:
            self._switch(
                ImageChanged(
                    image.fingerprint, application=image.application, instance_type=image.type
                )
            )

    def _switch(self, change: ImageChanged) -> None:
        before, now = ((one.image, one.instance_type) for one in (self._told, change))
        if now == before:
            return
        if self._told.image and self._told.image != change.image:
            self._errands.note_former(self._told.image, self._now())
        self._told = change
        if change.image:
            self._announce(AnnounceImage())

    def _show(self) -> None:
        standing = self._standing()
        reason = standing.for_the_fleet()
        if reason and reason != self._told.reason:
            self._told = ImageChanged(reason=reason)
            self._announce(AnnounceImage())
        state, reason = standing.in_words()
        self.publish(state, reason, cause=str(standing.cause), **self._details(standing))

    def _standing(self) -> Standing:
        fingerprint, built, tries = self._told.image, None, self._tries
        doing = lacks = ""
        if not self._prepared:
            built = next((one for one in self._images if one.fingerprint == fingerprint), None)
            if not fingerprint or _Task.BUILD in self._due:
                lacks = self._needs.lacking(self._parts.settings.config)
        if self._task is _Task.BUILD:
            aim = "looks for newer packages" if self._is_probing else "another is being built"
            doing = ": ".join(filter(None, (aim if fingerprint else "the first image", self._step)))
        return Standing(
            prepared=self._prepared,
            fingerprint=fingerprint,
            built=built,
            doing=doing,
            lacks=lacks,
            trouble=tries.trouble,
            again=tries.next_at,
            remark=self._remark,
            untidy=self._untidy,
        )

    @property
    def _tries(self) -> Tries:
        """What people are told of: what it is that keeps the image from being right."""
        return self._sight if self._prepared or self._sight.trouble else self._work

    def _details(self, standing: Standing) -> dict[str, Any]:
        trouble, next_at = self._tries.trouble, self._tries.next_at
        application = self._needs.application.application
        return {
            "prepared": standing.prepared,
            "image": standing.fingerprint,
            "images": images_report(self._images, standing.fingerprint, application),
            "building": standing.doing,
            "lacks": standing.lacks,
            "error": trouble.reason if trouble else "",
            "error_log": trouble.log if trouble else "",
            "error_at": trouble.at.isoformat(timespec="seconds") if trouble else None,
            "next_look": next_at.isoformat(timespec="seconds") if next_at else None,
            "orders": self._done_orders,
            "incarnation": self._incarnation,
            "warnings": tuple(standing.warnings()),
        }

    def _now(self) -> datetime:
        return self.system.clock.now()


def _newest_first(images: tuple[BuiltImage, ...]) -> tuple[BuiltImage, ...]:
    return tuple(sorted(images, key=lambda image: image.order, reverse=True))

"""What runners start from: an image that is prepared already, or one that is built and kept new."""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from loguru import logger

from supervisor.actors.image_errands import Errands, Step, Wish
from supervisor.images.choice import choose, is_probe_due
from supervisor.images.needs import Needs
from supervisor.images.properties import BuiltImage
from supervisor.images.report import Standing, Trouble, images_report
from supervisor.messages import (
    AnnounceApplication,
    AnnounceFirewall,
    AnnounceImage,
    AnnounceSignals,
    AnnounceStorage,
    ApplicationChanged,
    BuildImage,
    BuildOrdered,
    BuildRefused,
    ConfigChanged,
    FirewallChanged,
    ImageChanged,
    SignalsListening,
    StorageChanged,
)
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.waits import doubled
from supervisor.work.image import ImageFailed, ImageReady, Look
from supervisor.work.image_upkeep import Resolved, Tidied
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


class _LookDue:
    """It is time for a look."""


class ImageActor(Actor):
    """Tells the fleet which image runners start from; without one no runner is made.

    One piece of work is under way at most. *Tending* removes what is not needed, and sees whether
    the image in use is there; a *look* finds out what is wanted, from the base image, the runner
    application and the configuration, or what the alias of a prepared image means; a *build* makes
    it. What fails leaves the image in use, and comes again. LXD's images are the only record: what
    an earlier incarnation has ordered is done by the one thread for it before anything else, and is
    found then.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._incarnation = secrets.token_hex(4)
        self._errands = Errands(parts, self.actor_ref)
        self._needs = Needs()
        self._told = ImageChanged(reason="there is no image to start from: none was looked for yet")
        self._images: tuple[BuiltImage, ...] = ()
        self._due = {_Task.TEND, _Task.LOOK}
        self._task: _Task | None = None
        self._step = ""
        self._is_probing = False
        self._probed_at: datetime | None = None
        self._orders = self._begun_orders = self._done_orders = 0
        self._trouble: Trouble | None = None
        self._failures = 0
        self._remark = ""
        self._next: Timer | None = None
        self._next_at: datetime | None = None

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
            self._due.discard(_Task.BUILD)
            self._done_orders = self._orders
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
        # Somebody may have pointed the alias of a prepared image at another one.
        self._due.add(_Task.LOOK if self._prepared else _Task.TEND)
        self._proceed()

    @handles(_LookDue)
    def _look_is_due(self, _message: _LookDue) -> None:
        self._due |= {_Task.LOOK} if self._told.image else {_Task.TEND, _Task.LOOK}
        self._proceed()

    # What is done

    def _proceed(self) -> None:
        """Begin what is due, if nothing is under way and it can be done now."""
        # With a prepared image the fleet waits for no more than a question about its alias.
        tasks = (_Task.LOOK, _Task.TEND) if self._prepared else tuple(_Task)
        for task in tasks if self._task is None else ():
            if task in self._due and (work := self._work_of(task)):
                self._due.discard(task)
                self._task, self._step = task, ""
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
        self._task = None
        self._images = found.images
        if not self._prepared:
            config, current = self._parts.settings.config, self._told.image
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
        self._proceed()

    @handles(Resolved)
    def _resolved(self, found: Resolved) -> None:
        self._task = None
        if self._prepared:
            self._succeed()
            self._next_at = None  # each minute
            self._switch(ImageChanged(found.fingerprint))
        self._proceed()

    @handles(Look)
    def _looked(self, look: Look) -> None:
        self._task = None
        if not self._prepared:
            self._images = _newest_first(look.images)
            self._use(look.choice.use)
            self._is_probing = not look.choice.build and self._is_probe_due(look.chosen)
            self._look_after(self._parts.settings.config.image_build_interval)
            self._settle(is_wanted=look.choice.build or self._is_probing)
        self._proceed()

    def _settle(self, *, is_wanted: bool) -> None:
        """Have one built if it is wanted, or ordered."""
        if not is_wanted:
            self._succeed()
        if is_wanted or self._orders > self._done_orders:
            self._due.add(_Task.BUILD)
        else:
            self._due.discard(_Task.BUILD)

    @handles(ImageReady)
    def _ready(self, found: ImageReady) -> None:
        self._build_has_ended()
        if found.built:
            logger.info("image {} is built, in {:.0f} s", found.image.alias, found.took_s)
        if not self._prepared:
            others = (one for one in self._images if one.fingerprint != found.image.fingerprint)
            self._images = _newest_first((found.image, *others))
            self._remark = found.remark
            self._succeed()
            self._use(found.image.fingerprint)
            self._look_after(self._parts.settings.config.image_build_interval)
        self._proceed()

    @handles(ImageFailed)
    def _failed(self, failure: ImageFailed) -> None:
        task = self._task
        if task is _Task.BUILD:
            self._build_has_ended()
        self._task = None
        # Of LXD's being away others tell, and an image that was there is there when it is back.
        if not (failure.outage and self._told.image):
            if self._trouble is None or failure.reason != self._trouble.reason:
                logger.warning("{}", failure.reason)
            self._trouble = Trouble(failure.reason, self._now(), failure.log)
        if task is _Task.LOOK and self._prepared and not failure.outage:
            self._switch(ImageChanged())
        self._failures += 1
        # A build costs minutes of a machine, a question to LXD nothing.
        is_cheap = failure.outage or self._prepared or task is _Task.TEND
        longest = _MINUTE if is_cheap else self._parts.settings.config.image_build_interval
        self._look_after(doubled(_SOON if is_cheap else _MINUTE, self._failures, longest))
        self._proceed()

    def _build_has_ended(self) -> None:
        self._task, self._is_probing = None, False
        self._done_orders = self._begun_orders

    def _succeed(self) -> None:
        self._trouble, self._failures = None, 0

    def _is_probe_due(self, image: BuiltImage | None) -> bool:
        """Tell whether it is time to see if the packages of an image are the newest."""
        if image is None:
            return False
        interval = self._parts.settings.config.image_build_interval
        return is_probe_due(image, self._probed_at, self._now(), interval)

    def _look_after(self, delay: timedelta) -> None:
        if self._next:
            self._next.cancel()
        self._next = self.tell_after(delay.total_seconds(), _LookDue())
        self._next_at = self._now() + delay

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    # What others see

    def _use(self, fingerprint: str) -> None:
        """Have runners start from one of the images that were built; from none if it is empty."""
        holds = next((i.application for i in self._images if i.fingerprint == fingerprint), "")
        self._switch(ImageChanged(fingerprint, application=holds))

    def _switch(self, change: ImageChanged) -> None:
        before = self._told.image
        if change.image == before:
            return
        if before:
            self._errands.note_former(before, self._now())
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
        self.publish(state, reason, **self._details(standing))

    def _standing(self) -> Standing:
        fingerprint, built = self._told.image, None
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
            trouble=self._trouble,
            again=self._next_at,
            remark=self._remark,
        )

    def _details(self, standing: Standing) -> dict[str, Any]:
        trouble, application = self._trouble, self._needs.application.application
        return {
            "prepared": standing.prepared,
            "image": standing.fingerprint,
            "images": images_report(self._images, standing.fingerprint, application),
            "building": standing.doing,
            "lacks": standing.lacks,
            "error": trouble.reason if trouble else "",
            "error_log": trouble.log if trouble else "",
            "error_at": trouble.at.isoformat(timespec="seconds") if trouble else None,
            "next_look": self._next_at.isoformat(timespec="seconds") if self._next_at else None,
            "orders": self._done_orders,
            "incarnation": self._incarnation,
            "warnings": tuple(standing.warnings()),
        }

    def _now(self) -> datetime:
        return self.system.clock.now()


def _newest_first(images: tuple[BuiltImage, ...]) -> tuple[BuiltImage, ...]:
    return tuple(sorted(images, key=lambda image: image.order, reverse=True))

"""The pool that runners' disks are in: made, watched, and made anew after a start of the host."""

from loguru import logger

from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.storage import AnnounceStorage, StorageChanged
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.text import sizes
from supervisor.throttling.waits import doubled
from supervisor.work.storage import PoolFailed, PoolReady, StorageWork
from supervisor.workers import WorkFailed

_LOOK_INTERVAL_S = 60.0
_LOOK_AGAIN_S = 2.0
"""After a failure, doubled with each: to make a pool anew is no small thing."""
_PATIENT_LOOKS = 4
"""So often what was asked of another is only waited for."""


class _Look:
    """It is time to look at the pool."""


class StorageActor(Actor):
    """Tells fleet and image when there is a pool, and large enough; else nothing is made."""

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._told = StorageChanged(reason="the storage pool has not been looked at yet")
        self._looking = False
        self._again = False
        self._failures = 0
        self._next: Timer | None = None

    def on_start(self) -> None:
        """Look at what there is."""
        self.publish("waiting", "looks at the storage pool")
        self._look(_Look())

    @handles(AnnounceStorage)
    def _announce(self, _message: AnnounceStorage) -> None:
        for name in ("image", "fleet"):
            self.system.directory.tell(name, self._told)

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        self._look(_Look())

    @handles(_Look)
    def _look(self, _message: _Look) -> None:
        self._again = self._looking
        if self._looking:
            return  # for settings that may be older: it is looked at again after that
        self._looking = True
        work = StorageWork(self._parts.lxd, self._parts.settings.config)
        self._parts.storage.submit(work.ensure, self.actor_ref)

    @handles(PoolReady)
    def _ready(self, found: PoolReady) -> None:
        self._failures = 0
        used, total = (sizes.in_words(one) for one in found.space)
        reason = f"pool {found.pool}: {used} of {total} are used"
        details = {"pool": found.pool, "used": found.space[0], "total": found.space[1]}
        self.publish("ready", reason, **details, warnings=found.warnings)
        self._tell(StorageChanged(found.pool, found.size))
        self._look_after(_LOOK_INTERVAL_S)

    @handles(PoolFailed)
    def _failed(self, failure: PoolFailed) -> None:
        # Of LXD's being away others tell, and a pool that was there is there when it is back.
        if not (failure.outage and self._told.pool):
            if failure.reason != self._told.reason:
                logger.warning("{}", failure.reason)
            is_early = failure.asked and self._failures < _PATIENT_LOOKS
            state = "waiting" if is_early else "failing"
            self.publish(state, failure.reason, cause=str(failure.cause))
            self._tell(StorageChanged(reason=failure.reason))
        self._failures += 1
        self._look_after(doubled(_LOOK_AGAIN_S, self._failures, _LOOK_INTERVAL_S))

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    def _tell(self, change: StorageChanged) -> None:
        if change != self._told:
            self._told = change
            self._announce(AnnounceStorage())

    def _look_after(self, delay_s: float) -> None:
        self._looking = False
        if self._next:
            self._next.cancel()
            self._next = None
        if self._again:
            self._look(_Look())
        else:
            self._next = self.tell_after(delay_s, _Look())

"""What the operator sets, and the daemon's configuration that is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import ops

import policy_document
from proxies import ModelProxies

METRIC_LOG = "/var/log/github-runner-supervisor/metrics.jsonl"
IMAGE_SCRIPT = "/etc/github-runner-supervisor/image.sh"
_CREDENTIALS = "$CREDENTIALS_DIRECTORY"
_IN_LXD = "github-runners"
_LINK_LOCAL = "169.254.0.0/16"
_PACKAGE_EXAMPLE = "repo-policy-compliance==1.11.0"
_LONGEST_NAME = 40
_LONGEST_INTERVAL = 365 * 24 * 60
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_CHANNEL = re.compile(rf"(?:{_WORD}/)?(?:stable|candidate|beta|edge)(?:/{_WORD})?|{_WORD}")
"""A track, a risk, or both, and a branch: https://snapcraft.io/docs/channels."""

_POLICY_MODES_OF = {
    "repo-policy-compliance-url": ("external",),
    "policy-package": ("package",),
    "policy-package-index": ("package",),
    "policy-package-links": ("package",),
    "policy-document": ("builtin", "package", "off"),
}
"""With which values of `policy-mode` an option has an effect."""


_STORAGES = ("juju-storage", "memory", "pool")
_RELEASES = frozenset({"jammy", "noble", "22.04", "24.04"})

_OF_BUILDS = ("base_image", "image_extra_packages", "image_script")
"""The options that say what an image is built of."""


class OptionsError(Exception):
    """The options can't be used: one sentence for the operator, with what mends it."""


@dataclass(frozen=True)
class CharmOptions:
    """The charm's options, by their names in charmcraft.yaml and with the same defaults."""

    path: str = ""
    github_url: str = "https://github.com"
    token: str = field(default="", repr=False)
    token_secret_id: ops.Secret | None = None
    github_app_client_id: str = ""
    github_app_installation_id: int = 0
    github_app_private_key_secret_id: ops.Secret | None = None
    group: str = "default"
    labels: str = ""
    virtual_machines: int = 1
    max_unavailable: str = "25%"
    reconcile_interval: int = 10
    vm_cpu: int = 2
    vm_memory: str = "7GiB"
    vm_disk: str = "10GiB"
    runner_storage: str = "juju-storage"
    instance_type: str = "virtual-machine"
    base_image: str = "noble"
    image_build_interval: str = "6h"
    image_extra_packages: str = ""
    image_script: str = ""
    lxd_image: str = ""
    lxd_channel: str = "5.21/stable"
    denylist: str = ""
    allowlist: str = ""
    use_aproxy: bool = False
    aproxy_exclude_addresses: str = "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"
    aproxy_redirect_ports: str = "80, 443, 11371"
    dockerhub_mirror: str = ""
    otel_collector_endpoint: str = field(default="", repr=False)
    policy_mode: str = "builtin"
    policy_document: str = ""
    policy_package: str = ""
    policy_package_index: str = ""
    policy_package_links: str = ""
    repo_policy_compliance_url: str = ""
    repo_policy_compliance_token: str = field(default="", repr=False)
    repo_policy_compliance_token_secret_id: ops.Secret | None = None


@dataclass(frozen=True)
class Credentials:
    """What the daemon asks others with; what there is none of is empty.

    Attributes:
        token: a personal access token of GitHub's.
        private_key: of the GitHub App, in PEM.
        policy_token: the charm token of a policy service elsewhere.
    """

    token: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    policy_token: str = field(default="", repr=False)

    def files(self) -> dict[str, str]:
        """Give what each file of credentials holds, by its name."""
        given = {
            "token": self.token,
            "app.pem": self.private_key,
            "policy-token": self.policy_token,
        }
        return {name: text for name, text in given.items() if text}


def document(
    options: CharmOptions,
    unit_name: str,
    credentials: Credentials,
    proxies: ModelProxies,
    debug_servers: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Make the daemon's configuration; what it is to be checked for is left to the daemon.

    Args:
        options: as they are set.
        unit_name: as Juju writes it, such as `runners/0`.
        credentials: as `credentials.read` gives them.
        proxies: the model's.
        debug_servers: entries of the daemon's `ssh-debug`.

    Raises:
        OptionsError: the options contradict each other, or lack what the daemon can't know of.
    """
    app = unit_name.partition("/")[0]
    made = {
        "name": _name(unit_name, app),
        "path": _path(options, app),
        "github-url": options.github_url,
        **_credential(options, credentials),
        "virtual-machines": options.virtual_machines,
        "max-unavailable": options.max_unavailable,
        "labels": _labels(app, options.labels),
        "group": options.group,
        "vm-cpu": options.vm_cpu,
        "vm-memory": options.vm_memory,
        "vm-disk": options.vm_disk,
        "runner-storage": _storage(options, app),
        "reconcile-interval": _interval(options.reconcile_interval, app),
        **_image(options, app),
        **_network(options, proxies, app),
        "otel-collector-endpoint": options.otel_collector_endpoint,
        "ssh-debug": [dict(server) for server in debug_servers],
        "lxd": _given(
            {
                **dict.fromkeys(("project", "pool", "network", "profile"), _IN_LXD),
                "image": options.lxd_image,
                "instance-type": options.instance_type,
            }
        ),
        "policy": _policy(options, credentials, app),
        "metric-log": {"path": METRIC_LOG},
    }
    return _given(made)


def storage_of(options: CharmOptions) -> str:
    """Say where runners' disks are to be."""
    return options.runner_storage.strip() or CharmOptions.runner_storage


def lxd_channel_of(options: CharmOptions, app: str) -> str:
    """Say which channel an LXD of ours follows.

    Args:
        options: as they are set.
        app: the application's name, for the command that errors name.

    Raises:
        OptionsError: there can't be such a channel.
    """
    channel = options.lxd_channel.strip() or CharmOptions.lxd_channel
    if not _CHANNEL.fullmatch(channel):
        command = set_option(app, "lxd-channel", CharmOptions.lxd_channel)
        raise OptionsError(
            "lxd-channel: must be a track, a risk (stable, candidate, beta or edge) or both of the "
            f"snap lxd, such as {CharmOptions.lxd_channel}; {command}"
        )
    return channel


def set_option(app: str, option: str, value: str) -> str:
    """Write the command that sets an option, for people."""
    return f"`juju config {app} {option}={value}`"


def reset_option(app: str, *options: str) -> str:
    """Write the command that gives options their defaults, for people."""
    return f"`juju config {app} --reset {','.join(options)}`"


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out empty words, for which the daemon has its defaults, and blanks around others."""
    bare = {
        key: value.strip() if isinstance(value, str) else value for key, value in values.items()
    }
    return {key: value for key, value in bare.items() if value not in ("", None)}


def _name(unit_name: str, app: str) -> str:
    name = unit_name.replace("/", "-")
    if len(name) > _LONGEST_NAME:
        raise OptionsError(
            f"the unit's name {name} has {len(name)} characters, and is to have at most "
            f"{_LONGEST_NAME}, as runners are named for it: deploy {app} under a shorter name"
        )
    return name


def _path(options: CharmOptions, app: str) -> str:
    if not options.path.strip():
        command = set_option(app, "path", "ORGANISATION")
        raise OptionsError(f"path: is not set; {command}, or OWNER/REPOSITORY")
    return options.path


def _credential(options: CharmOptions, credentials: Credentials) -> dict[str, Any]:
    if credentials.token:
        return {"token-file": f"{_CREDENTIALS}/token"}
    return {
        "app": {
            "id": options.github_app_client_id.strip(),
            "installation-id": options.github_app_installation_id,
            "private-key-file": f"{_CREDENTIALS}/app.pem",
        }
    }


def _labels(app: str, labels: str) -> list[str]:
    """Give the application's name and the labels that are set, each once: GitHub ignores case."""
    once: dict[str, str] = {}
    for word in (app, *_words(labels)):
        once.setdefault(word.casefold(), word)
    return list(once.values())


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _storage(options: CharmOptions, app: str) -> str:
    storage = storage_of(options)
    if storage not in _STORAGES:
        command = set_option(app, "runner-storage", CharmOptions.runner_storage)
        raise OptionsError(f"runner-storage: must be juju-storage, memory or pool; {command}")
    return storage


def _interval(minutes: int, app: str) -> str:
    if not 1 <= minutes <= _LONGEST_INTERVAL:
        command = set_option(app, "reconcile-interval", "10")
        raise OptionsError(
            f"reconcile-interval: must be from 1 to {_LONGEST_INTERVAL:,} minutes; {command}"
        )
    return f"{minutes}m"


def _image(options: CharmOptions, app: str) -> dict[str, Any]:
    if options.lxd_image.strip():
        unused = [name for name in _OF_BUILDS if _is_set(options, name)]
        if unused:
            names = [name.replace("_", "-") for name in unused]
            raise OptionsError(
                f"{' and '.join(names)}: only for images that are built, and lxd-image names one "
                f"that is prepared; {reset_option(app, *names)}, or "
                + reset_option(app, "lxd-image")
            )
        return {}
    return {
        "base-image": _base_image(options, app),
        "image-build-interval": options.image_build_interval,
        "image-extra-packages": options.image_extra_packages,
        "image-script": IMAGE_SCRIPT if options.image_script.strip() else "",
    }


def _base_image(options: CharmOptions, app: str) -> str:
    """Give the base image; one of a server is the daemon's to check."""
    image = options.base_image.strip()
    # The daemon takes an alias in LXD, too: a typo would be one that is never found.
    if image and image not in _RELEASES and ":" not in image:
        command = set_option(app, "base-image", CharmOptions.base_image)
        raise OptionsError(
            "base-image: must be jammy, noble, 22.04, 24.04, REMOTE:ALIAS or "
            f"https://SERVER/PATH:ALIAS (an image that is in LXD: lxd-image); {command}"
        )
    return image


def _is_set(options: CharmOptions, name: str) -> bool:
    """Tell whether an option is other than by default; what is empty is as by default."""
    value = str(getattr(options, name)).strip()
    return value not in {"", getattr(CharmOptions, name)}


def _network(options: CharmOptions, proxies: ModelProxies, app: str) -> dict[str, Any]:
    if options.use_aproxy and not proxies:
        raise OptionsError(
            "use-aproxy: the model has no proxy to forward to; "
            "`juju model-config juju-http-proxy=http://HOST:PORT`, or "
            + reset_option(app, "use-aproxy")
        )
    return {
        # Ours is the last: what is wrong is told by the place of the entry.
        "denylist": ", ".join([*_words(options.denylist), _LINK_LOCAL]),
        "allowlist": options.allowlist,
        "http-proxy": proxies.http,
        "https-proxy": proxies.https,
        "no-proxy": proxies.no_proxy if proxies else "",
        "use-aproxy": options.use_aproxy,
        # A list, as none is a choice here, and not the daemon's default.
        "aproxy-exclude-addresses": _words(options.aproxy_exclude_addresses),
        "aproxy-redirect-ports": options.aproxy_redirect_ports,
        "dockerhub-mirror": options.dockerhub_mirror,
    }


def _policy(options: CharmOptions, credentials: Credentials, app: str) -> dict[str, Any]:
    url = options.repo_policy_compliance_url.strip()
    mode = options.policy_mode.strip() or CharmOptions.policy_mode
    if url and mode == CharmOptions.policy_mode:
        mode = "external"  # the address alone says so
    given = {
        "repo-policy-compliance-url": url,
        "policy-package": options.policy_package.strip(),
        "policy-package-index": options.policy_package_index.strip(),
        "policy-package-links": options.policy_package_links.strip(),
        "policy-document": options.policy_document.strip(),
    }
    for option, modes in _POLICY_MODES_OF.items():
        if given[option] and mode not in modes:
            _refuse_for_mode(option, modes, mode, app)
    if mode == "package" and not given["policy-package"]:
        command = set_option(app, "policy-package", _PACKAGE_EXAMPLE)
        raise OptionsError(f"policy-mode: `package` needs policy-package; for example {command}")
    _check_policy_token(mode, url, credentials, app)
    return _given(
        {
            "mode": mode,
            "url": url,
            "token-file": f"{_CREDENTIALS}/policy-token" if url else "",
            "package": given["policy-package"],
            "package-index": given["policy-package-index"],
            "package-links": given["policy-package-links"],
            "document": _policy_document(given["policy-document"]),
        }
    )


def _refuse_for_mode(option: str, modes: Iterable[str], mode: str, app: str) -> NoReturn:
    fitting = " or ".join(f"`{one}`" for one in modes)
    raise OptionsError(
        f"{option}: only for policy-mode {fitting}, and it is `{mode}`; {reset_option(app, option)}"
    )


def _check_policy_token(mode: str, url: str, credentials: Credentials, app: str) -> None:
    if mode == "external" and not url:
        command = set_option(app, "repo-policy-compliance-url", "https://HOST")
        raise OptionsError(f"policy-mode: `external` needs repo-policy-compliance-url; {command}")
    if url and not credentials.policy_token:
        command = set_option(app, "repo-policy-compliance-token-secret-id", "SECRET")
        raise OptionsError(
            f"repo-policy-compliance-url: the service there needs a charm token; {command}"
        )
    if credentials.policy_token and not url:
        tokens = ("repo-policy-compliance-token", "repo-policy-compliance-token-secret-id")
        raise OptionsError(
            "repo-policy-compliance-token: there is no repo-policy-compliance-url to send it to; "
            + reset_option(app, *tokens)
        )


def _policy_document(text: str) -> dict[Any, Any] | None:
    try:
        return policy_document.parse(text) if text else None
    except policy_document.NoDocument as error:
        raise OptionsError(str(error)) from error

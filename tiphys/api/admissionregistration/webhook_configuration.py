"""Webhook configurations, mutating and validating: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from tiphys.api.admissionregistration import CATEGORIES, GROUP
from tiphys.api.admissionregistration import v1 as admission
from tiphys.api.admissionregistration.matching import FAILURE, FORM, MATCH, choice, default_scopes, validate_match_conditions, validate_rule
from tiphys.api.admissionregistration.policy import REINVOCATIONS
from tiphys.api.admissionregistration.v1 import (
    MutatingWebhook,
    MutatingWebhookConfiguration,
    ServiceReference,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
)
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import duplicate, invalid, required
from tiphys.api.machinery.names import dns_1035_label_messages, dns_subdomain_messages, port_number
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.rules.basics import Errors, label_selector, text

DEFAULT_TIMEOUT = 10
"""Seconds that a webhook has to answer."""

HTTPS_PORT = 443


def default_configuration(config: MutatingWebhookConfiguration | ValidatingWebhookConfiguration) -> None:
    """Default each webhook ("Dynamic Admission Control: Webhook configuration")."""
    for hook in config.webhooks:
        _default_webhook(hook)


def _default_webhook(hook: MutatingWebhook | ValidatingWebhook) -> None:
    if hook.failurePolicy is None:
        hook.failurePolicy = "Fail"
    if hook.matchPolicy is None:
        hook.matchPolicy = "Equivalent"
    if hook.timeoutSeconds is None:
        hook.timeoutSeconds = DEFAULT_TIMEOUT
    if hook.namespaceSelector is None:
        hook.namespaceSelector = LabelSelector()
    if hook.objectSelector is None:
        hook.objectSelector = LabelSelector()
    if isinstance(hook, MutatingWebhook) and hook.reinvocationPolicy is None:
        hook.reinvocationPolicy = "Never"
    service = hook.clientConfig.service
    if service is not None and service.port is None:
        service.port = HTTPS_PORT
    default_scopes(hook.rules)


_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_REVIEWS = ("v1", "v1beta1")
Webhook = MutatingWebhook | ValidatingWebhook
Configuration = MutatingWebhookConfiguration | ValidatingWebhookConfiguration


def validate_configuration(config: Configuration) -> Errors:
    """Return the mistakes in a webhook configuration ("Dynamic Admission Control: Webhook configuration")."""
    errors: Errors = []
    seen: set[str] = set()
    hooks: Sequence[Webhook] = config.webhooks
    for index, hook in enumerate(hooks):
        path = f"webhooks[{index}]"
        _webhook(errors, path, hook)
        _review_versions(errors, f"{path}.admissionReviewVersions", hook.admissionReviewVersions)
        if hook.name in seen:
            errors.append(duplicate(f"{path}.name", hook.name))
        elif hook.name:
            seen.add(hook.name)
    return errors


def _webhook(errors: Errors, path: str, hook: Webhook) -> None:
    _full_name(errors, f"{path}.name", hook.name)
    for index, rule in enumerate(hook.rules):
        validate_rule(errors, f"{path}.rules[{index}]", rule)
    choice(errors, f"{path}.failurePolicy", hook.failurePolicy, FAILURE)
    choice(errors, f"{path}.matchPolicy", hook.matchPolicy, MATCH)
    if hook.sideEffects is None:
        errors.append(required(f"{path}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}"))
    choice(errors, f"{path}.sideEffects", hook.sideEffects, _SIDE_EFFECTS)
    if hook.timeoutSeconds is not None and not 1 <= hook.timeoutSeconds <= 30:
        errors.append(invalid(f"{path}.timeoutSeconds", hook.timeoutSeconds, "the timeout value must be between 1 and 30 seconds"))
    label_selector(errors, f"{path}.namespaceSelector", hook.namespaceSelector)
    label_selector(errors, f"{path}.objectSelector", hook.objectSelector)
    if isinstance(hook, MutatingWebhook):
        choice(errors, f"{path}.reinvocationPolicy", hook.reinvocationPolicy, REINVOCATIONS)
    config, where = hook.clientConfig, f"{path}.clientConfig"
    if (config.url is None) == (config.service is None):
        errors.append(required(where, "exactly one of url or service is required"))
    elif config.url is not None:
        webhook_url(errors, f"{where}.url", config.url)
    elif config.service is not None:
        webhook_service(errors, f"{where}.service", config.service)
    validate_match_conditions(errors, f"{path}.matchConditions", hook.matchConditions)


def _full_name(errors: Errors, path: str, name: str) -> None:
    if not name:
        errors.append(required(path))
    elif wrong := dns_subdomain_messages(name):
        errors.append(invalid(path, name, ",".join(wrong)))
    elif name.count(".") < 2:
        errors.append(invalid(path, name, "should be a domain with at least three segments separated by dots"))


def _review_versions(errors: Errors, path: str, versions: Sequence[str]) -> None:
    if not versions:
        errors.append(required(path, f"must specify one of {', '.join(_REVIEWS)}"))
        return
    seen: set[str] = set()
    for index, version in enumerate(versions):
        if version in seen:
            errors.append(invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        seen.add(version)
        text(errors, f"{path}[{index}]", version, dns_1035_label_messages(version))
    if not seen & set(_REVIEWS):
        errors.append(invalid(path, versions, f"must include at least one of {', '.join(_REVIEWS)}"))


def webhook_url(errors: Errors, path: str, url: str) -> None:
    """The address of a webhook outside the cluster."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError as error:
        errors.append(required(path, f"url must be a valid URL: {error}{FORM}"))
        return
    if parts.scheme != "https":
        errors.append(invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{FORM}"))
    if not host:
        errors.append(invalid(path, host, f"host must be specified{FORM}"))
    if "@" in parts.netloc:
        errors.append(invalid(path, parts.netloc.rpartition("@")[0], "user information is not permitted in the URL"))
    if parts.fragment:
        errors.append(invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errors.append(invalid(path, parts.query, "query parameters are not permitted in the URL"))


def webhook_service(errors: Errors, path: str, service: ServiceReference) -> None:
    """The Service behind which a webhook is, and the path there."""
    if not service.name:
        errors.append(required(f"{path}.name"))
    if not service.namespace:
        errors.append(required(f"{path}.namespace"))
    if message := port_number(service.port or 0):
        errors.append(invalid(f"{path}.port", service.port or 0, f"port is not valid: {message}"))
    url = service.path
    if not url or url == "/":
        return
    if url == "//":
        errors.append(invalid(f"{path}.path", url, "segment[0] may not be empty"))
        return
    if not url.startswith("/"):
        errors.append(invalid(f"{path}.path", url, "must start with a '/'"))
    for index, step in enumerate(url[1:].removesuffix("/").split("/")):
        if not step:
            errors.append(invalid(f"{path}.path", url, f"segment[{index}] may not be empty"))
        else:
            text(errors, f"{path}.path", url, [f"segment[{index}]: {message}" for message in dns_subdomain_messages(step)])


ConfigurationT = TypeVar("ConfigurationT", MutatingWebhookConfiguration, ValidatingWebhookConfiguration)


class ConfigurationRules(Rules[ConfigurationT], Generic[ConfigurationT]):
    names_finalizers = False
    needs_version = True

    default = staticmethod(default_configuration)

    def prepare_create(self, obj: ConfigurationT) -> None:
        obj.metadata.generation = 1

    validate = staticmethod(validate_configuration)

    def spec_changed(self, new: ConfigurationT, old: ConfigurationT) -> bool:
        return new.webhooks != old.webhooks


COLUMNS = (
    NAME,
    Column("Webhooks", cell(lambda obj: len(obj.webhooks)), type="integer", description="How many webhooks there are."),
    AGE,
)

MUTATING_CONFIGURATIONS: Kind[admission.MutatingWebhookConfiguration] = Kind(
    type=admission.MutatingWebhookConfiguration,
    plural="mutatingwebhookconfigurations",
    rules=ConfigurationRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)

VALIDATING_CONFIGURATIONS: Kind[admission.ValidatingWebhookConfiguration] = Kind(
    type=admission.ValidatingWebhookConfiguration,
    plural="validatingwebhookconfigurations",
    rules=ConfigurationRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)

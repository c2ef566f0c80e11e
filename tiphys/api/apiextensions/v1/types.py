"""Custom resource definitions, apiextensions/v1."""

from __future__ import annotations

from typing import Annotated, Any

from tiphys.api.machinery.base import Atomic, MapList, Number, Patch, Struct, Time, always, constant, field, null
from tiphys.api.meta.v1.meta import KubeObject


class CustomResourceColumnDefinition(Struct):
    """A column that `kubectl get` shows."""

    name: str = always(str)
    """Its heading."""
    type: str = always(str)
    """`string`, `integer`, `number`, `boolean` or `date`."""
    format: str = ""
    """Format of the text or number, such as `name` or `int64`."""
    description: str = ""
    """Description of the column."""
    priority: int = 0
    """0 for columns that are always shown; higher ones only with `-o wide`."""
    jsonPath: str = always(str)
    """Path of the value, such as `.spec.replicas`."""


class ServiceReference(Struct):
    """A Service behind which a webhook listens."""

    namespace: str = always(str)
    """The namespace of the Service."""
    name: str = always(str)
    """Its name."""
    path: str | None = None
    """The path of the URL, `/` if absent."""
    port: int | None = None
    """The port of the Service, 443 if absent."""


class WebhookClientConfig(Struct):
    """Address of a webhook: a URL or a Service, not both."""

    url: str | None = None
    """An https URL without user, query and fragment."""
    service: ServiceReference | None = None
    """The Service behind which it listens."""
    caBundle: bytes = b""
    """PEM certificates that its certificate is checked against; the system's by default."""


class WebhookConversion(Struct):
    """The web service that converts objects."""

    clientConfig: WebhookClientConfig | None = None
    """Address of the webhook."""
    conversionReviewVersions: Annotated[list[str], Atomic()] = always(list)
    """Versions of ConversionReview that it understands, the preferred one first."""


class CustomResourceConversion(Struct):
    """Conversion of objects from one version to another."""

    strategy: str = always(str)
    """`None` changes nothing but apiVersion; `Webhook` asks a web service."""
    webhook: WebhookConversion | None = None
    """The web service, with the second strategy."""


class CustomResourceDefinitionCondition(Struct):
    """One aspect of how a definition stands: `Established`, `NamesAccepted`, `Terminating` and others."""

    type: str = always(str)
    """The type of the condition, in CamelCase."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""
    observedGeneration: int = 0
    """The generation of the spec that this was computed from."""


class CustomResourceDefinitionNames(Struct):
    """The names of a resource and its kind."""

    plural: str = always(str)
    """The resource as it stands in URLs; with the group it is the name of the definition."""
    singular: str = ""
    """The word for one object on the command line; the kind in small letters by default."""
    shortNames: Annotated[list[str], Atomic()] = []
    """Short words for the command line."""
    kind: str = always(str)
    """The kind of the objects, in CamelCase."""
    listKind: str = ""
    """The kind of their lists; `<kind>List` by default."""
    categories: Annotated[list[str], Atomic()] = []
    """Groups of resources that it belongs to, such as `all`."""


class CustomResourceDefinitionStatus(Struct):
    """Observed state of a definition."""

    conditions: Annotated[list[CustomResourceDefinitionCondition], MapList("type")] | None = null()
    """Aspects of how it stands, one of each type."""
    acceptedNames: CustomResourceDefinitionNames = always(CustomResourceDefinitionNames)
    """The names that are in use; they differ from the wanted ones when another resource has those."""
    storedVersions: Annotated[list[str], Atomic()] = always(list)
    """Versions in which objects may be stored; one may only be dropped from the spec when it is not listed here."""
    observedGeneration: int = 0
    """The generation of the spec that this was computed from."""


class CustomResourceSubresourceScale(Struct):
    """Paths to the fields of the scale subresource."""

    specReplicasPath: str = always(str)
    """The path of the wanted replicas, below `.spec`."""
    statusReplicasPath: str = always(str)
    """The path of the counted replicas, below `.status`."""
    labelSelectorPath: str | None = None
    """The path of the selector as text, below `.spec` or `.status`; autoscalers need it."""


class CustomResourceSubresourceStatus(Struct):
    """Presence of a status subresource; it has no fields."""


class CustomResourceSubresources(Struct):
    """The subresources of a version."""

    status: CustomResourceSubresourceStatus | None = None
    """Makes the status a thing of its own: only `/status` writes it, and everything else only the rest."""
    scale: CustomResourceSubresourceScale | None = None
    """Makes the resource known to `kubectl scale` and autoscalers."""


class ValidationRule(Struct):
    """A CEL rule that a value must obey."""

    rule: str = always(str)
    """The expression; `self` is the value and `oldSelf` the old one."""
    message: str = ""
    """Message for the client when the expression is false."""
    messageExpression: str = ""
    """A CEL expression that gives the message instead."""
    reason: str | None = None
    """The reason in the list of causes: `FieldValueInvalid` by default."""
    fieldPath: str = ""
    """The field below the value that the message is about."""
    optionalOldSelf: bool | None = None
    """True if the rule is evaluated without an old value too; `oldSelf` is an optional then."""


class ExternalDocumentation(Struct):
    """Reference to further documentation."""

    description: str = ""
    """Description of the document."""
    url: str = ""
    """The address."""


class JSONSchemaProps(Struct):
    """A JSON schema, as far as structural schemas use it."""

    id: str = ""
    """The name of the schema; not used."""
    schema: str = field(name="$schema", default="")
    """The dialect of the schema; not used."""
    ref: str | None = field(name="$ref", default=None)
    """A reference to another schema; not allowed in structural ones."""
    description: str = ""
    """Description of the value."""
    type: str = ""
    """`object`, `array`, `string`, `integer`, `number` or `boolean`."""
    format: str = ""
    """Format of the value, such as `date-time` or `int32`; formats that are not known are ignored."""
    title: str = ""
    """A short name of the value."""
    default: Any = None
    """Default value."""
    maximum: Number | None = None
    """The largest number."""
    exclusiveMaximum: bool = False
    """True if a number must be smaller than the maximum."""
    minimum: Number | None = None
    """The smallest number."""
    exclusiveMinimum: bool = False
    """True if a number must be larger than the minimum."""
    maxLength: int | None = None
    """The most characters of a text."""
    minLength: int | None = None
    """The fewest characters of a text."""
    pattern: str = ""
    """A regular expression that a text must match."""
    maxItems: int | None = None
    """The most items of a list."""
    minItems: int | None = None
    """The fewest items of a list."""
    uniqueItems: bool = False
    """Must be false; list types say which items are distinct."""
    multipleOf: Number | None = None
    """Divisor of every valid number."""
    enum: Annotated[list[Any], Atomic()] = []
    """The values that are allowed."""
    maxProperties: int | None = None
    """The most keys of an object."""
    minProperties: int | None = None
    """The fewest keys of an object."""
    required: Annotated[list[str], Atomic()] = []
    """Keys that an object must have."""
    items: Any = None
    """The schema of a list's items."""
    allOf: Annotated[list[JSONSchemaProps], Atomic()] = []
    """Schemas of which all must hold."""
    oneOf: Annotated[list[JSONSchemaProps], Atomic()] = []
    """Schemas of which exactly one must hold."""
    anyOf: Annotated[list[JSONSchemaProps], Atomic()] = []
    """Schemas of which at least one must hold."""
    not_: JSONSchemaProps | None = field(name="not", default=None)
    """A schema that must not hold."""
    properties: dict[str, JSONSchemaProps] = {}
    """The schemas of an object's known keys."""
    additionalProperties: Any = None
    """The schema of all other keys, or whether there may be any."""
    patternProperties: dict[str, JSONSchemaProps] = {}
    """Schemas of keys that match expressions; not allowed in structural schemas."""
    dependencies: dict[str, Any] = {}
    """Keys or schemas that the presence of a key requires; not allowed in structural schemas."""
    additionalItems: Any = None
    """The schema of further items; not allowed in structural schemas."""
    definitions: dict[str, JSONSchemaProps] = {}
    """Schemas for references; not allowed in structural schemas."""
    externalDocs: ExternalDocumentation | None = None
    """Further documentation of the value."""
    example: Any = None
    """An example of the value."""
    nullable: bool = False
    """True if the value may be null."""
    x_kubernetes_preserve_unknown_fields: bool | None = field(name="x-kubernetes-preserve-unknown-fields", default=None)
    """True if keys that no schema knows are kept."""
    x_kubernetes_embedded_resource: bool = field(name="x-kubernetes-embedded-resource", default=False)
    """True if the value is an object of the API with apiVersion, kind and metadata."""
    x_kubernetes_int_or_string: bool = field(name="x-kubernetes-int-or-string", default=False)
    """True if the value is a whole number or a text."""
    x_kubernetes_list_map_keys: Annotated[list[str], Atomic()] = field(name="x-kubernetes-list-map-keys", default_factory=list)
    """The fields that tell the items of a list of type `map` apart."""
    x_kubernetes_list_type: str | None = field(name="x-kubernetes-list-type", default=None)
    """Merge semantics of a list: `atomic`, `set` or `map`."""
    x_kubernetes_map_type: str | None = field(name="x-kubernetes-map-type", default=None)
    """Merge semantics of an object: `granular` or `atomic`."""
    x_kubernetes_validations: Annotated[list[ValidationRule], MapList("rule"), Patch("merge", "rule")] = field(
        name="x-kubernetes-validations", default_factory=list
    )
    """CEL rules that the value must obey."""


class CustomResourceValidation(Struct):
    """Schema that objects are validated against."""

    openAPIV3Schema: JSONSchemaProps | None = None
    """The structural schema."""


class SelectableField(Struct):
    """A field that field selectors may name."""

    jsonPath: str = always(str)
    """Its path, such as `.spec.color`; a text, number or boolean outside of lists."""


class CustomResourceDefinitionVersion(Struct):
    """One version of a resource."""

    name: str = always(str)
    """Its name, such as `v1beta1`."""
    served: bool = always(bool)
    """True if it is served."""
    storage: bool = always(bool)
    """True if it is the version in which objects are stored; exactly one is."""
    deprecated: bool = False
    """True if clients that use it are warned."""
    deprecationWarning: str | None = None
    """Warning for clients of a deprecated version; there is a text for it by default."""
    schema: CustomResourceValidation | None = None
    """Schema of the objects."""
    subresources: CustomResourceSubresources | None = None
    """The subresources that objects have."""
    additionalPrinterColumns: Annotated[list[CustomResourceColumnDefinition], Atomic()] = []
    """Columns of `kubectl get`; the age by default."""
    selectableFields: Annotated[list[SelectableField], Atomic()] = []
    """Fields that field selectors may name."""


class CustomResourceDefinitionSpec(Struct):
    """Desired group, names, scope and versions of a custom resource."""

    group: str = always(str)
    """The API group; with the plural it is the name of the definition."""
    names: CustomResourceDefinitionNames = always(CustomResourceDefinitionNames)
    """The names of the resource and its kind."""
    scope: str = always(str)
    """`Cluster` or `Namespaced`."""
    versions: Annotated[list[CustomResourceDefinitionVersion], Atomic()] = always(list)
    """The versions in which it is served; one of them is stored."""
    conversion: CustomResourceConversion | None = None
    """Conversion of objects between versions."""
    preserveUnknownFields: bool = False
    """Must be false; unknown fields are kept only where a schema says so."""


class CustomResourceDefinition(KubeObject):
    """A kind of resource that users add to the API."""

    apiVersion: str = constant("apiextensions.k8s.io/v1")
    kind: str = constant("CustomResourceDefinition")
    spec: CustomResourceDefinitionSpec = always(CustomResourceDefinitionSpec)
    """Desired state of the custom resource definition."""
    status: CustomResourceDefinitionStatus = always(CustomResourceDefinitionStatus)
    """Observed state of the custom resource definition."""


class JSON(Struct):
    """Any JSON value."""


class JSONSchemaPropsOrArray(Struct):
    """A schema, or a list of schemas."""


class JSONSchemaPropsOrBool(Struct):
    """A schema, or true or false."""


class JSONSchemaPropsOrStringArray(Struct):
    """A schema, or a list of names."""

"""Custom resource definitions, apiextensions/v1."""

from __future__ import annotations

from typing import Annotated, Any

from tiphys.api.base import Atomic, MapList, Patch, Struct, Time, always, constant, field
from tiphys.api.meta.v1.meta import KubeObject


class CustomResourceColumnDefinition(Struct):
    name: str = always(str)
    type: str = always(str)
    format: str = ""
    description: str = ""
    priority: int = 0
    jsonPath: str = always(str)


class ServiceReference(Struct):
    namespace: str = always(str)
    name: str = always(str)
    path: str | None = None
    port: int | None = None


class WebhookClientConfig(Struct):
    url: str | None = None
    service: ServiceReference | None = None
    caBundle: bytes = b""


class WebhookConversion(Struct):
    clientConfig: WebhookClientConfig | None = None
    conversionReviewVersions: Annotated[list[str], Atomic()] = always(list)


class CustomResourceConversion(Struct):
    strategy: str = always(str)
    webhook: WebhookConversion | None = None


class CustomResourceDefinitionCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""
    observedGeneration: int = 0


class CustomResourceDefinitionNames(Struct):
    plural: str = always(str)
    singular: str = ""
    shortNames: Annotated[list[str], Atomic()] = []
    kind: str = always(str)
    listKind: str = ""
    categories: Annotated[list[str], Atomic()] = []


class CustomResourceDefinitionStatus(Struct):
    conditions: Annotated[list[CustomResourceDefinitionCondition], MapList("type")] = always(list)
    acceptedNames: CustomResourceDefinitionNames = always(CustomResourceDefinitionNames)
    storedVersions: Annotated[list[str], Atomic()] = always(list)
    observedGeneration: int = 0


class CustomResourceSubresourceScale(Struct):
    specReplicasPath: str = always(str)
    statusReplicasPath: str = always(str)
    labelSelectorPath: str | None = None


class CustomResourceSubresourceStatus(Struct):
    pass


class CustomResourceSubresources(Struct):
    status: CustomResourceSubresourceStatus | None = None
    scale: CustomResourceSubresourceScale | None = None


class ValidationRule(Struct):
    rule: str = always(str)
    message: str = ""
    messageExpression: str = ""
    reason: str | None = None
    fieldPath: str = ""
    optionalOldSelf: bool | None = None


class ExternalDocumentation(Struct):
    description: str = ""
    url: str = ""


class JSONSchemaProps(Struct):
    id: str = ""
    schema: str = field(name="$schema", default="")
    ref: str | None = field(name="$ref", default=None)
    description: str = ""
    type: str = ""
    format: str = ""
    title: str = ""
    default: Any = None
    maximum: float | None = None
    exclusiveMaximum: bool = False
    minimum: float | None = None
    exclusiveMinimum: bool = False
    maxLength: int | None = None
    minLength: int | None = None
    pattern: str = ""
    maxItems: int | None = None
    minItems: int | None = None
    uniqueItems: bool = False
    multipleOf: float | None = None
    enum: Annotated[list[Any], Atomic()] = []
    maxProperties: int | None = None
    minProperties: int | None = None
    required: Annotated[list[str], Atomic()] = []
    items: Any = None
    allOf: Annotated[list[JSONSchemaProps], Atomic()] = []
    oneOf: Annotated[list[JSONSchemaProps], Atomic()] = []
    anyOf: Annotated[list[JSONSchemaProps], Atomic()] = []
    not_: JSONSchemaProps | None = field(name="not", default=None)
    properties: dict[str, JSONSchemaProps] = {}
    additionalProperties: Any = None
    patternProperties: dict[str, JSONSchemaProps] = {}
    dependencies: dict[str, Any] = {}
    additionalItems: Any = None
    definitions: dict[str, JSONSchemaProps] = {}
    externalDocs: ExternalDocumentation | None = None
    example: Any = None
    nullable: bool = False
    x_kubernetes_preserve_unknown_fields: bool | None = field(name="x-kubernetes-preserve-unknown-fields", default=None)
    x_kubernetes_embedded_resource: bool = field(name="x-kubernetes-embedded-resource", default=False)
    x_kubernetes_int_or_string: bool = field(name="x-kubernetes-int-or-string", default=False)
    x_kubernetes_list_map_keys: Annotated[list[str], Atomic()] = field(name="x-kubernetes-list-map-keys", default_factory=list)
    x_kubernetes_list_type: str | None = field(name="x-kubernetes-list-type", default=None)
    x_kubernetes_map_type: str | None = field(name="x-kubernetes-map-type", default=None)
    x_kubernetes_validations: Annotated[list[ValidationRule], MapList("rule"), Patch("merge", "rule")] = field(
        name="x-kubernetes-validations", default_factory=list
    )


class CustomResourceValidation(Struct):
    openAPIV3Schema: JSONSchemaProps | None = None


class SelectableField(Struct):
    jsonPath: str = always(str)


class CustomResourceDefinitionVersion(Struct):
    name: str = always(str)
    served: bool = always(bool)
    storage: bool = always(bool)
    deprecated: bool = False
    deprecationWarning: str | None = None
    schema: CustomResourceValidation | None = None
    subresources: CustomResourceSubresources | None = None
    additionalPrinterColumns: Annotated[list[CustomResourceColumnDefinition], Atomic()] = []
    selectableFields: Annotated[list[SelectableField], Atomic()] = []


class CustomResourceDefinitionSpec(Struct):
    group: str = always(str)
    names: CustomResourceDefinitionNames = always(CustomResourceDefinitionNames)
    scope: str = always(str)
    versions: Annotated[list[CustomResourceDefinitionVersion], Atomic()] = always(list)
    conversion: CustomResourceConversion | None = None
    preserveUnknownFields: bool = False


class CustomResourceDefinition(KubeObject):
    apiVersion: str = constant("apiextensions.k8s.io/v1")
    kind: str = constant("CustomResourceDefinition")
    spec: CustomResourceDefinitionSpec = always(CustomResourceDefinitionSpec)
    status: CustomResourceDefinitionStatus = always(CustomResourceDefinitionStatus)


class JSON(Struct):
    pass


class JSONSchemaPropsOrArray(Struct):
    pass


class JSONSchemaPropsOrBool(Struct):
    pass


class JSONSchemaPropsOrStringArray(Struct):
    pass

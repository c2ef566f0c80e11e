"""Field numbers of apiextensions/v1, written by tools/protobuf_numbers.py."""

MESSAGES = """
CustomResourceColumnDefinition name type format description priority jsonPath
CustomResourceConversion strategy webhook
CustomResourceDefinition metadata spec status
CustomResourceDefinitionCondition type status lastTransitionTime reason message observedGeneration
CustomResourceDefinitionNames plural singular shortNames kind listKind categories
CustomResourceDefinitionSpec group - names scope - - versions - conversion preserveUnknownFields
CustomResourceDefinitionStatus conditions acceptedNames storedVersions observedGeneration
CustomResourceDefinitionVersion name served storage schema subresources additionalPrinterColumns deprecated
  deprecationWarning selectableFields
CustomResourceSubresourceScale specReplicasPath statusReplicasPath labelSelectorPath
CustomResourceSubresources status scale
CustomResourceValidation openAPIV3Schema
ExternalDocumentation description url
JSONSchemaProps id $schema $ref description type format title default maximum exclusiveMaximum minimum exclusiveMinimum
  maxLength minLength pattern maxItems minItems uniqueItems multipleOf enum maxProperties minProperties required
  items|array allOf oneOf anyOf not properties additionalProperties|bool patternProperties dependencies|strings
  additionalItems|bool definitions externalDocs example nullable x-kubernetes-preserve-unknown-fields
  x-kubernetes-embedded-resource x-kubernetes-int-or-string x-kubernetes-list-map-keys x-kubernetes-list-type
  x-kubernetes-map-type x-kubernetes-validations
SelectableField jsonPath
ServiceReference namespace name path port
ValidationRule rule message messageExpression reason fieldPath optionalOldSelf
WebhookClientConfig service caBundle url
WebhookConversion - clientConfig conversionReviewVersions
"""

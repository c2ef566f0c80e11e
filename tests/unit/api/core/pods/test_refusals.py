"""Refused pods: which mistakes are found, in which order and in which words.

The causes are those that the API server of Kubernetes 1.36 gives for the same manifests.
"""

# One cause to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.machinery.errors import Invalid, quoted, required

_APP = "containers: [{name: app, image: x}]"
_REFUSED = [
    (
        "containers: [{name: app, image: x, securityContext: {windowsOptions: {gmsaCredentialSpec: '', gmsaCredentialSpecName: 'A b', runAsUserName: ''}}}]",
        [
            "spec.containers[0].securityContext.windowsOptions.gmsaCredentialSpecName: Invalid value: \"A b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            'spec.containers[0].securityContext.windowsOptions.gmsaCredentialSpec: Invalid value: "": gmsaCredentialSpec cannot be an empty string',
            'spec.containers[0].securityContext.windowsOptions.runAsUserName: Invalid value: "": runAsUserName cannot be an empty string',
        ],
    ),
    (
        "securityContext: {windowsOptions: {runAsUserName: 'a\\b\\c'}}",
        [
            'spec.securityContext.windowsOptions.runAsUserName: Invalid value: "a\\\\b\\\\c": runAsUserName cannot contain more than one backslash'
        ],
    ),
    (
        "securityContext: {windowsOptions: {runAsUserName: '.dom\\. .'}}",
        [
            "spec.securityContext.windowsOptions.runAsUserName: Invalid value: \".dom\\\\. .\": runAsUserName's Domain doesn't match the NetBios nor the DNS format",
            'spec.securityContext.windowsOptions.runAsUserName: Invalid value: ".dom\\\\. .": runAsUserName\'s User cannot contain only periods or spaces',
        ],
    ),
    (
        "securityContext: {windowsOptions: {runAsUserName: 'dom\\'}}",
        ['spec.securityContext.windowsOptions.runAsUserName: Invalid value: "dom\\\\": runAsUserName\'s User cannot be empty'],
    ),
    (
        "securityContext: {windowsOptions: {runAsUserName: 'dom/x@y'}}",
        [
            'spec.securityContext.windowsOptions.runAsUserName: Invalid value: "dom/x@y": runAsUserName\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]'
        ],
    ),
    (
        "securityContext: {windowsOptions: {hostProcess: true}}",
        ["spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers"],
    ),
    (
        "containers: [{name: app, image: x, securityContext: {windowsOptions: {hostProcess: true}}}, {name: b, image: x}]",
        [
            'spec: Invalid value: "": If pod contains any hostProcess containers then all containers must be HostProcess containers',
            "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
        ],
    ),
    (
        "securityContext: {windowsOptions: {hostProcess: false}}, containers: [{name: app, image: x, securityContext: {windowsOptions: {hostProcess: true}}}]",
        [
            "spec.containers[0].securityContext.windowsOptions.hostProcess: Invalid value: true: pod hostProcess value must be identical if both are specified, was false",
            "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
        ],
    ),
    (
        "os: {name: linux}, securityContext: {windowsOptions: {}}",
        ["spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"],
    ),
    (
        "os: {name: windows}, hostPID: true, hostUsers: true, resources: {limits: {cpu: '1'}}, securityContext: {runAsUser: 1, fsGroup: 2, seLinuxOptions: {}}",
        [
            "spec.resources: Forbidden: may not be set for a windows pod",
            "spec.securityContext.seLinuxOptions: Forbidden: cannot be set for a windows pod",
            "spec.hostUsers: Forbidden: cannot be set for a windows pod",
            "spec.hostPID: Forbidden: cannot be set for a windows pod",
            "spec.securityContext.fsGroup: Forbidden: cannot be set for a windows pod",
            "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
        ],
    ),
    (
        "os: {name: windows}, containers: [{name: app, image: x, securityContext: {privileged: false, capabilities: {}, procMount: Default}}]",
        [
            "spec.containers[0].securityContext.capabilities: Forbidden: cannot be set for a windows pod",
            "spec.containers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod",
            "spec.containers[0].securityContext.procMount: Forbidden: cannot be set for a windows pod",
        ],
    ),
    (
        "dnsConfig: {searches: ['A b', '-a.', '_x.y', 'a_b.']}",
        [
            "spec.dnsConfig.searches[0]: Invalid value: \"A b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')",
            "spec.dnsConfig.searches[1]: Invalid value: \"-a\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')",
        ],
    ),
    (
        "dnsConfig: {nameservers: ['01.2.3.4', '::ffff:1.2.3.4', 'x']}",
        [
            'spec.dnsConfig.nameservers[0]: Invalid value: "01.2.3.4": must not have leading 0s',
            'spec.dnsConfig.nameservers[1]: Invalid value: "::ffff:1.2.3.4": must not be an IPv4-mapped IPv6 address',
            'spec.dnsConfig.nameservers[2]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        ],
    ),
    (
        "hostAliases: [{ip: 01.2.3.4}]",
        ['spec.hostAliases[0].ip: Invalid value: "01.2.3.4": must not have leading 0s'],
    ),
    (
        "containers: [{name: app, image: x, restartPolicyRules: [{}, {action: Restart, exitCodes: {operator: Between}}]}]",
        [
            "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
            'spec.containers[0].restartPolicyRules[0].action: Unsupported value: "": supported values: "Restart", "RestartAllContainers"',
            "spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified",
            'spec.containers[0].restartPolicyRules[1].exitCodes.operator: Unsupported value: "Between": supported values: "In", "NotIn"',
        ],
    ),
    (
        "initContainers: [{name: i, image: x, restartPolicyRules: [{}]}]",
        ["spec.initContainers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used"],
    ),
    (
        "initContainers: [{name: i, image: x, resizePolicy: [{resourceName: cpu, restartPolicy: RestartContainer}]}]",
        [
            "spec.initContainers[0].resizePolicy[0].restartPolicy: Invalid value: \"RestartContainer\": must not be set to 'RestartContainer' for non-sidecar initContainers"
        ],
    ),
    (
        "initContainers: [{name: i, image: x}, {name: j, image: x, ports: [{containerPort: 1, hostPort: 5}, {containerPort: 2, hostPort: 5}]}]",
        ['spec.initContainers[0].ports[1].hostPort: Duplicate value: "TCP//5"'],
    ),
    (
        "containers: [{name: app, image: x, securityContext: {appArmorProfile: {type: Localhost, localhostProfile: ' a'}}}]",
        ['spec.containers[0].securityContext.appArmorProfile.localhostProfile: Invalid value: " a": must not be padded with whitespace'],
    ),
    (
        "containers: [{name: app, image: x, securityContext: {appArmorProfile: {type: Nope, localhostProfile: a}}}]",
        [
            'spec.containers[0].securityContext.appArmorProfile.type: Unsupported value: "Nope": supported values: "Localhost", "RuntimeDefault", "Unconfined"'
        ],
    ),
    (
        "containers: [{name: app, image: x, securityContext: {seccompProfile: {type: RuntimeDefault, localhostProfile: a}}}]",
        [
            'spec.containers[0].securityContext.seccompProfile.localhostProfile: Invalid value: {"Type":"RuntimeDefault","LocalhostProfile":"a"}: can only be set when seccomp type is Localhost'
        ],
    ),
    (
        "containers: [{name: app, image: x, securityContext: {allowPrivilegeEscalation: false, privileged: true}}]",
        [
            'spec.containers[0].securityContext: Invalid value: {"Capabilities":null,"Privileged":true,"SELinuxOptions":null,"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":false,"ProcMount":null,"SeccompProfile":null,"AppArmorProfile":null}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true'
        ],
    ),
    (
        "containers: [{name: app, image: x, env: [{name: A, valueFrom: {fileKeyRef: {key: '\u00e9', volumeName: 'A b', path: ../a}}}]}]",
        [
            "spec.containers[0].env[0].valueFrom.fileKeyRef.key: Invalid value: \"é\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            "spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Invalid value: \"A b\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.containers[0].env[0].valueFrom.fileKeyRef.path: Invalid value: \"../a\": must not contain '..'",
            'spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: "A b"',
        ],
    ),
    (
        "volumes: [{name: v, emptyDir: {}, configMap: {name: c}, hostPath: {path: ''}, cephfs: {monitors: [m]}, downwardAPI: {}, nfs: {server: s, path: p}}]",
        [
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[0].nfs: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[0].cephFS: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[0].downwarAPI: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type",
        ],
    ),
    (
        "volumes: [{name: v, gcePersistentDisk: {pdName: '', partition: 300}}]",
        [
            "spec.volumes[0].persistentDisk.pdName: Required value",
            "spec.volumes[0].persistentDisk.partition: Invalid value: 300: must be between 1 and 255, inclusive",
        ],
    ),
    (
        "volumes: [{name: v, azureDisk: {diskName: d, diskURI: u, kind: Managed, cachingMode: Fast}}]",
        [
            'spec.volumes[0].azureDisk.cachingMode: Unsupported value: "Fast": supported values: "None", "ReadOnly", "ReadWrite"',
            'spec.volumes[0].azureDisk.diskURI: Unsupported value: "u": supported values: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"',
        ],
    ),
    (
        "volumes: [{name: v, flocker: {datasetName: a/b, datasetUUID: c}}]",
        [
            'spec.volumes[0].flocker: Invalid value: "resource": datasetName and datasetUUID can not be specified simultaneously',
            "spec.volumes[0].flocker.datasetName: Invalid value: \"a/b\": must not contain '/'",
        ],
    ),
    (
        "volumes: [{name: v, iscsi: {targetPortal: t, iqn: foo, lun: 256, chapAuthSession: true, initiatorName: iqn.x}}]",
        [
            'spec.volumes[0].iscsi.iqn: Invalid value: "foo": must be valid format starting with iqn, eui, or naa',
            "spec.volumes[0].iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
            "spec.volumes[0].iscsi.secretRef: Required value",
            'spec.volumes[0].iscsi.initiatorname: Invalid value: "iqn.x": must be valid format',
        ],
    ),
    (
        "volumes: [{name: v, quobyte: {registry: 'a:1,b', volume: ''}}]",
        [
            'spec.volumes[0].quobyte.registry: Invalid value: "a:1,b": must be a host:port pair or multiple pairs separated by commas',
            "spec.volumes[0].quobyte.volume: Required value",
        ],
    ),
    (
        "volumes: [{name: v, storageos: {volumeName: A, secretRef: {}}}]",
        [
            "spec.volumes[0].storageos.volumeName: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.volumes[0].storageos.secretRef.name: Required value",
        ],
    ),
    (
        "volumes: [{name: v, csi: {driver: 'a b', nodePublishSecretRef: {name: 'A b'}}}]",
        [
            "spec.volumes[0].csi.driver: Invalid value: \"a b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.volumes[0].csi.name: Invalid value: \"A b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    ),
    (
        "volumes: [{name: v, fc: {targetWWNs: [a]}}]",
        ["spec.volumes[0].fc.lun: Required value: lun is required if targetWWNs is specified"],
    ),
    (
        "volumes: [{name: v, flexVolume: {driver: d, options: {kubernetes.io/x: y}}}]",
        [
            'spec.volumes[0].flexVolume.options[kubernetes.io/x]: Invalid value: "kubernetes.io/x": kubernetes.io and k8s.io namespaces are reserved'
        ],
    ),
    (
        "volumes: [{name: v, gitRepo: {repository: '', directory: ../a}}]",
        [
            "spec.volumes[0].gitRepo.repository: Required value",
            "spec.volumes[0].gitRepo.directory: Invalid value: \"../a\": must not contain '..'",
        ],
    ),
    (
        "volumes: [{name: v, scaleIO: {gateway: '', system: '', volumeName: ''}}]",
        [
            "spec.volumes[0].scaleIO.gateway: Required value",
            "spec.volumes[0].scaleIO.system: Required value",
            "spec.volumes[0].scaleIO.volumeName: Required value",
        ],
    ),
    (
        "volumes: [{name: v, configMap: {name: c, items: [{key: k, path: ..}]}}]",
        [
            "spec.volumes[0].configMap.items[0].path: Invalid value: \"..\": must not contain '..'",
            "spec.volumes[0].configMap.items[0].path: Invalid value: \"..\": must not start with '..'",
        ],
    ),
    (
        "volumes: [{name: v, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: spec.host}}]}}]",
        [
            'spec.volumes[0].downwardAPI.fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"'
        ],
    ),
    (
        "volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: '1'}}}}}}, {name: w, persistentVolumeClaim: {claimName: web-v}}]",
        [
            'spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: "web-v": must not reference a PVC that gets created for an ephemeral volume'
        ],
    ),
    (
        "containers: [{name: app, image: x, volumeDevices: [{}, {}]}]",
        [
            "spec.containers[0].volumeDevices[0].name: Required value",
            'spec.containers[0].volumeDevices[0].name: Not found: ""',
            "spec.containers[0].volumeDevices[0].devicePath: Required value",
            "spec.containers[0].volumeDevices[1].name: Required value",
            'spec.containers[0].volumeDevices[1].name: Not found: ""',
            "spec.containers[0].volumeDevices[1].devicePath: Required value",
            'spec.containers[0].volumeDevices[1].devicePath: Invalid value: "": must be unique',
        ],
    ),
    (
        "containers: [{name: app, image: x, volumeDevices: [{name: v, devicePath: /m}], volumeMounts: [{name: v, mountPath: /m}]}], volumes: [{name: v, emptyDir: {}}]",
        [
            'spec.containers[0].volumeMounts[0].name: Invalid value: "v": must not already exist in volumeDevices',
            'spec.containers[0].volumeMounts[0].mountPath: Invalid value: "/m": must not already exist as a path in volumeDevices',
            'spec.containers[0].volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
            'spec.containers[0].volumeDevices[0].name: Invalid value: "v": must not already exist in volumeMounts',
            'spec.containers[0].volumeDevices[0].devicePath: Invalid value: "/m": must not already exist as a path in volumeMounts',
        ],
    ),
    (
        "containers: [{name: app, image: x, volumeMounts: [{name: v, mountPath: /m, recursiveReadOnly: Enabled, mountPropagation: HostToContainer}]}], volumes: [{name: v, emptyDir: {}}]",
        [
            "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
            "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified",
        ],
    ),
    (
        "containers: [{name: app, image: x, resources: {requests: {hugepages-2Mi: 3Mi}}}]",
        [
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
            'spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
            "spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
        ],
    ),
    (
        "resources: {claims: [{name: x}]}",
        [
            "spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level",
            'spec.resources.claims[0]: Not found: "x": must be one of the names in pod.spec.resourceClaims which is empty',
        ],
    ),
    (
        "resources: {limits: {example.com/x: '1.5'}}",
        [
            'spec.resources.limits[example.com/x]: Unsupported value: "example.com/x": supported values: "cpu", "hugepages-", "memory"',
            'spec.resources.limits[example.com/x]: Invalid value: "1500m": must be an integer',
        ],
    ),
    (
        "resources: {requests: {hugepages-2Mi: 2Mi}}",
        [
            "spec.resources.limits: Required value: Limit must be set for non overcommitable resources",
            "spec.resources: Forbidden: HugePages require cpu or memory",
        ],
    ),
    (
        "resources: {limits: {cpu: '1'}}, containers: [{name: app, image: x, resources: {limits: {cpu: '2'}}}]",
        [
            'spec.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
            'spec.resources.containers[0][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 1',
        ],
    ),
    (
        "resources: {requests: {cpu: '1'}}, containers: [{name: app, image: x, resources: {requests: {cpu: 600m}}}], initContainers: [{name: i, image: x, resources: {requests: {cpu: '2'}}}, {name: s, image: x, restartPolicy: Always, resources: {requests: {cpu: 500m}}}]",
        ['spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 2'],
    ),
    (
        "resourceClaims: [{name: a}, {name: b, resourceClaimName: 'A b', resourceClaimTemplateName: t}]",
        [
            'spec.resourceClaims[0]: Invalid value: {"Name":"a","ResourceClaimName":null,"ResourceClaimTemplateName":null}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`',
            'spec.resourceClaims[1]: Invalid value: {"Name":"b","ResourceClaimName":"A b","ResourceClaimTemplateName":"t"}: at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified',
            "spec.resourceClaims[1].resourceClaimName: Invalid value: \"A b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    ),
    (
        "overhead: {cpu: '-1'}",
        ['spec.overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0'],
    ),
    (
        'overhead: {foo: "1"}',
        [
            'spec.overhead.limits[foo]: Invalid value: "foo": must be a standard resource type or fully qualified',
            'spec.overhead.limits[foo]: Invalid value: "foo": must be a standard resource for containers',
        ],
    ),
    (
        "tolerations: [{key: a, operator: Gt, value: '1'}, {key: a, operator: Nope}]",
        [
            'spec.tolerations[0].operator: Unsupported value: "Gt": supported values: "Equal", "Exists", "Lt", "Gt"',
            'spec.tolerations[1].operator: Unsupported value: "Nope": supported values: "Equal", "Exists"',
        ],
    ),
    (
        "topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: DoNotSchedule, minDomains: 0}, {maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]",
        [
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            'spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{a, DoNotSchedule}"',
            "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero",
        ],
    ),
    (
        "hostUsers: false, containers: [{name: app, image: x, volumeDevices: [{name: v, devicePath: /d}]}], volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]",
        ["spec.containers[0].volumeDevices: Forbidden: when `hostUsers` is false"],
    ),
    (
        "nodeSelector: {aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}",
        [
            'spec.nodeSelector: Invalid value: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": name part must be no more than 63 bytes',
            'spec.nodeSelector: Invalid value: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": must be no more than 63 bytes',
        ],
    ),
    (
        "securityContext: {seLinuxChangePolicy: MountOption}",
        ['spec.securityContext.seLinuxChangePolicy: Unsupported value: "MountOption": supported values: "Recursive"'],
    ),
    (
        "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: k, labelSelector: {matchExpressions: [{key: a, operator: Exists}, {key: a, operator: Exists}]}, matchLabelKeys: [a, b], mismatchLabelKeys: [b]}]}}",
        [
            'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0][0]: Invalid value: "a": exists in both matchLabelKeys and labelSelector',
            'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys[1]: Invalid value: "b": exists in both matchLabelKeys and mismatchLabelKeys',
        ],
    ),
    (
        "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: k, matchLabelKeys: ['a b'], mismatchLabelKeys: ['c d']}]}}",
        [
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].mismatchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
        ],
    ),
    (
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: k, whenUnsatisfiable: DoNotSchedule, matchLabelKeys: ['a b']}]",
        ["spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"],
    ),
    (
        "containers: [{name: app, image: x, envFrom: [{configMapRef: {name: -a}}, {secretRef: {name: A-}}]}]",
        [
            "spec.containers[0].envFrom[0].configMapRef.name: Invalid value: \"-a\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "volumes: [{name: v, azureDisk: {diskName: d, diskURI: 'https://x', kind: '', cachingMode: ''}}]",
        [
            'spec.volumes[0].azureDisk.cachingMode: Unsupported value: "": supported values: "None", "ReadOnly", "ReadWrite"',
            'spec.volumes[0].azureDisk.kind: Unsupported value: "": supported values: "Dedicated", "Managed", "Shared"',
        ],
    ),
]
"""Parts of a pod's spec beside an ordinary container, and the causes of its refusal."""


@pytest.mark.parametrize(("spec", "causes"), _REFUSED, ids=[spec[:60] for spec, _ in _REFUSED])
def test_refusals(server: Any, spec: str, causes: list[str]) -> None:
    containers = "" if "containers: " in spec.partition("initContainers")[0] else f"{_APP}, "
    assert server.errors(f"{{apiVersion: v1, kind: Pod, metadata: {{name: web}}, spec: {{{containers}{spec}}}}}") == causes


@pytest.mark.parametrize(
    ("annotation", "causes"),
    [
        (
            "seccomp.security.alpha.kubernetes.io/pod: x",
            [
                'metadata.annotations.seccomp.security.alpha.kubernetes.io/pod: Invalid value: "x": must be a valid seccomp profile',
                "spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match",
            ],
        ),
        (
            "container.seccomp.security.alpha.kubernetes.io/app: localhost/../a",
            ["metadata.annotations.container.seccomp.security.alpha.kubernetes.io/app: Invalid value: \"../a\": must not contain '..'"],
        ),
        (
            "container.apparmor.security.beta.kubernetes.io/b: x",
            [
                'metadata.annotations[container.apparmor.security.beta.kubernetes.io/b]: Invalid value: "b": container not found',
                'metadata.annotations[container.apparmor.security.beta.kubernetes.io/b]: Invalid value: "x": invalid AppArmor profile name: "x"',
            ],
        ),
        (
            "controller.kubernetes.io/pod-deletion-cost: '01'",
            ['metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "01": must be a 32bit integer'],
        ),
        (
            "controller.kubernetes.io/pod-deletion-cost: '2147483648'",
            ['metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "2147483648": must be a 32bit integer'],
        ),
        ("controller.kubernetes.io/pod-deletion-cost: '-5'", []),
        (
            "container.apparmor.security.beta.kubernetes.io/app: unconfined",
            ["spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match"],
        ),
        (
            "seccomp.security.alpha.kubernetes.io/pod: localhost/a",
            ["spec.securityContext.seccompProfile.localhostProfile: Forbidden: seccomp profile in annotation and field must match"],
        ),
    ],
)
def test_annotations_that_were_fields_before(server: Any, annotation: str, causes: list[str]) -> None:
    profiles = "securityContext: {appArmorProfile: {type: RuntimeDefault}}"
    seccomp = "securityContext: {seccompProfile: {type: Localhost, localhostProfile: b}}"
    spec = f"{seccomp}, containers: [{{name: app, image: x, {profiles}}}]"
    assert (
        server.errors(f"{{apiVersion: v1, kind: Pod, metadata: {{name: web, annotations: {{{annotation}}}}}, spec: {{{spec}}}}}") == causes
    )


def test_message_tells_a_sentence_once() -> None:
    errors = [required("spec.a"), required("spec.b"), required("spec.a")]
    refusal = Invalid.object("Pod", "web", errors)
    assert refusal.message == 'Pod "web" is invalid: [spec.a: Required value, spec.b: Required value]'
    assert refusal.details is not None
    assert [cause.field for cause in refusal.details.causes] == ["spec.a", "spec.b", "spec.a"]
    assert Invalid.object("Pod", "web", errors[::2]).message == 'Pod "web" is invalid: spec.a: Required value'


@pytest.mark.parametrize(
    ("text", "shown"),
    [("é", '"é"'), ('a"\\', '"a\\"\\\\"'), ("a\x01\n\u200b", '"a\\x01\\n\\u200b"'), ("\U000e0001", '"\\U000e0001"')],
)
def test_quotes_texts_like_go(text: str, shown: str) -> None:
    assert quoted(text) == shown

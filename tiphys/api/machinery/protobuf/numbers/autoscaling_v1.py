"""Field numbers of autoscaling/v1, written by tools/protobuf_numbers.py."""

MESSAGES = """
CrossVersionObjectReference kind name apiVersion
HorizontalPodAutoscaler metadata spec status
HorizontalPodAutoscalerSpec scaleTargetRef minReplicas maxReplicas targetCPUUtilizationPercentage
HorizontalPodAutoscalerStatus observedGeneration lastScaleTime currentReplicas desiredReplicas
  currentCPUUtilizationPercentage
Scale metadata spec status
ScaleSpec replicas
ScaleStatus replicas selector
"""

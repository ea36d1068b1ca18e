"""`headrace repartition`: add partitions to the topics, and continue exactly (ADR 74)."""

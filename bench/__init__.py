"""The benchmarks: `make bench`. Bounded in time and count, on loopback and pods of their own."""

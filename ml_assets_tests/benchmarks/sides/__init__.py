"""The sides of the feature benchmark: each does the same work its own way, in a process of its own.

A side is a module with steps, functions of the folder with the workload and the file to write. A spine's file has
the columns row, n_7d, s_7d, n_28d and s_28d: how many events, and the sum of their amounts.
"""

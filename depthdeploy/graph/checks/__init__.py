"""What breaks a condition on a node, in words: one function a condition.

Each takes a node with the operator set that it is written in and the condition's arguments, and gives what was found,
or ``None`` where the condition is kept or cannot be judged for want of shapes, which the support check refuses itself.
"""

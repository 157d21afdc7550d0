"""Ring 1: what a model's answer may do to whoever displays it.

Read `address`, `links`, `leaks`, `executable`, `answer`, `guard`, in this order.

Everything here works outside the model, without chance, in linear time, and gives the same for a text and its pieces.
"""

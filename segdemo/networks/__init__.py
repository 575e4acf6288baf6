"""The networks, one file a family: plain modules on torch and torchvision, nothing else of ours.

Every network maps float32 [B, 3, H, W], any H and W of at least 1, to logits [B, C, H, W].
"""

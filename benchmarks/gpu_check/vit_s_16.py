"""ViT-S/16, of which torchvision has the parts and not the whole; (d) copies it as a user's own network."""

from __future__ import annotations

from torchvision.models.vision_transformer import VisionTransformer


def vit_s_16(num_outputs: int, crop: int) -> VisionTransformer:
    """Twelve layers of six heads, 384 wide (Touvron et al. 2021, DeiT-S without distillation)."""
    return VisionTransformer(crop, 16, 12, 6, 384, 1536, num_classes=num_outputs)

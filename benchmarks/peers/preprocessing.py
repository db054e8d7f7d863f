"""What torchvision's users do to an image before a network sees it; the same for each peer that lets them."""

from torchvision import transforms


def imagenet_transform():
    """Short side to 256, centre crop of 224, ImageNet's mean and scale."""
    return transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

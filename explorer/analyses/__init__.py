"""What a network does with pictures: its feature maps, its gradients, its reasons."""

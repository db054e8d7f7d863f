"""What the stored features tell: arrays and feature files in, records out."""

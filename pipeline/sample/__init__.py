"""The sample: a devkit in VOC layout, drawn by the program."""

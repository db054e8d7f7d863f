"""The report: one page that opens from disk, made from the files of the other stages."""
